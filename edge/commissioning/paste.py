"""What a search has found as configuration: YAML to paste, or to name under `include:`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from drivers.line.settings import FieldLine, SerialLine
from edge.commissioning.settings import fields_of
from edge.commissioning.sighting import Sighting, Wire
from edge.config.library import Library

SPACE = "unplaced"


def yaml_of(line: FieldLine, found: Sequence[Sighting], library: Library, *, with_line: bool = True) -> str:
    """Lines and devices as `check` accepts them; what cannot be told stands in comments.

    `with_line` is left out for a line that the configuration has already, and then devices
    that it has are left out too.
    """
    text: list[str] = []
    wire = _usual([one.wire for one in found if one.protocol.startswith("modbus")])
    if with_line:
        text += ["spaces:", f"  - {{id: {SPACE}, name: 待定位置, kind: plant}}  # 改成设备真正所在的位置"]
        shown: dict[str, Any] = {"id": line.id, "url": line.url}
        if isinstance(line, SerialLine):
            shown |= {"baudrate": line.baudrate, "framing": line.framing.value}
            if wire is not None:
                shown |= {"baudrate": wire.baudrate, "framing": wire.framing.value}
        text += ["lines:", f"  - {_flow(shown)}"]
    fresh = [one for one in found if with_line or not one.known]
    usable = [one for one in fresh if one.suggestions and not one.conflict]
    text.append("devices:" if usable else "devices: []")
    names: set[str] = set()
    placed: dict[tuple[str, str], Sighting] = {}
    for one in fresh:
        first = placed.setdefault((one.protocol, one.address), one)
        if first is not one:  # some devices, and some ports, do not mind the parity
            text.append(f"  # {one.protocol} {one.address}: 也以 {one.wire} 应答 (answers at this speed too)")
            continue
        text += [f"  {row}" for row in _rows(line, one, library, wire if with_line else None, names)]
    return "\n".join(text) + "\n"


def _rows(line: FieldLine, one: Sighting, library: Library, wire: Wire | None, names: set[str]) -> list[str]:
    where = f"{one.protocol} {one.address}{f' {one.wire}' if one.wire else ''}"
    if one.conflict:
        return [f"# {where}: 地址冲突, 多台设备同时应答; 逐台断开后改地址 (address_conflict: several answer)"]
    if not one.suggestions:
        return [f"# {where}: 有应答, 没有合适的配置文件 (answers, no profile fits): {one.frame.hex(' ')}"]
    best, *others = one.suggestions
    profile = library.profile(best.profile)
    kind = "device" if profile is None else profile.kind.replace("_", "-")
    name = f"{kind}-{line.id}-{one.address}"[:60]
    while name in names:
        name += "-2"
    names.add(name)
    fields = fields_of(one)
    if wire is not None and one.wire == wire and one.protocol.startswith("modbus"):
        fields = {key: value for key, value in fields.items() if key not in ("baudrate", "framing")}
    shown = {"id": name, "space": SPACE, "line": line.id, **fields, "profile": best.profile}
    hint = f"  # 也可能是 {', '.join(other.profile for other in others)}" if others else ""
    return [f"- {_flow(shown)}{hint}"]


def _usual(wires: Sequence[Wire | None]) -> Wire | None:
    counted = Counter(wire for wire in wires if wire is not None)
    return counted.most_common(1)[0][0] if counted else None


def _flow(fields: dict[str, Any]) -> str:
    """A mapping on one line; digits that are text are quoted, so that YAML leaves them alone."""
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in fields.items()) + "}"


def _scalar(value: Any) -> str:
    # 8E1 and 017 would be numbers to YAML
    if isinstance(value, str) and (value[:1].isdigit() or ":" in value):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
