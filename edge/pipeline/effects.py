"""Whether an action had its effect: seen on what is read after the device took it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from drivers.reading import Millis, Quality, Reading, Value
from drivers.settings import millis
from rules.action import Verify
from rules.comparison import comparison
from rules.plan import Target
from rules.site import SiteInfo
from rules.targets import effects

LOOK_S = 0.2
"""How often the newest readings are looked at while an effect is awaited."""

Newest = Callable[[str, str], Reading | None]


async def seen(
    verify: Verify,
    target: Target,
    value: Value,
    since: Millis,
    site: SiteInfo,
    newest: Newest,
    clock: Callable[[], Millis],
) -> str:
    """Waits for an effect; empty when it was seen on all points that show it, else what was seen last.

    Only readings measured since `since` count, when it was sent: what was read before proves nothing.
    """
    began = clock()
    refs = [Target(ref.device, ref.point) for ref in effects(verify.p, target, site)]
    if not refs:
        return f"{verify.p}: nothing here shows it"
    open_, last = set(refs), ""
    while open_:
        for ref in tuple(open_):
            reading = newest(ref.device, ref.point)
            if reading is None or reading.at < since or reading.quality is not Quality.GOOD:
                continue
            if _shows(verify, ref, target, value, reading.value):
                open_.remove(ref)
            else:
                last = f"{ref.device}.{ref.point} = {reading.value}"
        if open_ and clock() - began >= millis(verify.within):
            silent = ", ".join(f"{ref.device}.{ref.point}" for ref in sorted(open_))
            return last or f"{silent}: nothing read"
        if open_:
            await asyncio.sleep(LOOK_S)
    return ""


def _shows(verify: Verify, ref: Target, target: Target, value: Value, found: Value | None) -> bool:
    if found is None:
        return False
    if verify.op is not None and verify.val is not None:
        return comparison(verify.op, verify.val, None)(found, False)
    return bool(found == value) if ref == target else found is True
