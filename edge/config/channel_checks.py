"""Whether the points that sirens use exist and can do it, and whether a modem has one owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from drivers.settings import millis
from drivers.vocabulary import PointSpec
from edge.channels.settings import PointRef, RelaySettings, SmsSettings
from edge.config.configuration import DeviceModel
from edge.config.draft import Draft
from edge.config.fault import Fault, suggestion
from edge.config.spots import KeyPath

POINTS = ("pulse", "feedback", "silence")
"""A relay's other points, by their keys."""


def sirens(draft: Draft, devices: Mapping[str, DeviceModel]) -> Iterator[Fault]:
    """A siren's points are there, may be written where it writes, and its contact is read in time."""
    heard_later = {step.to for steps in draft.settings.push.escalation.values() for step in steps}
    for desk, channels in draft.settings.notify.items():
        for number, one in enumerate(channels):
            if one.relay is None:
                continue
            path: KeyPath = ("notify", desk, number, "relay")
            if desk in heard_later:
                message = (
                    f"a siren sounds at once, and {desk} hears of what is escalated: give it to another desk"
                )
                yield draft.document.fault(path, message)
            yield from _points(draft, path, one.relay, devices)


def _points(
    draft: Draft, path: KeyPath, relay: RelaySettings, devices: Mapping[str, DeviceModel]
) -> Iterator[Fault]:
    refs: list[tuple[KeyPath, PointRef]] = [(path, relay)]
    for key in POINTS:
        ref: PointRef | None = getattr(relay, key)
        if ref is not None:
            refs.append(((*path, key), ref))
    for where, ref in refs:
        model = devices.get(ref.device)
        if model is None:
            if ref.device not in draft.ids["devices"]:
                hint = suggestion(ref.device, draft.ids["devices"])
                yield draft.document.fault((*where, "device"), f"there is no device {ref.device}{hint}")
            continue
        spec = model.points.get(ref.point)
        if spec is None:
            message = f"{ref.device} has no point {ref.point}{suggestion(ref.point, model.points)}"
            yield draft.document.fault((*where, "point"), message)
            continue
        key = str(where[-1])
        if message := _unfit(key, spec, model.profile.write_limits(ref.point) is not None, ref):
            yield draft.document.fault((*where, "point"), message)
        too_seldom = not model.profile.speaks_first and relay.test and model.settings.every > relay.test.lasts
        if key == "feedback" and too_seldom and model.settings.protocol != "mqtt":
            seconds = millis(model.settings.every) / 1000
            message = f"{ref.device} is asked every {seconds:g} s: the test would be over before its answer"
            yield draft.document.fault((*where, "device"), message)


def _unfit(key: str, spec: PointSpec, writable: bool, ref: PointRef) -> str:
    """Why a point cannot serve there, empty when it can."""
    if key in ("relay", "pulse") and not writable:
        return f"{ref.point} of {ref.device} is read-only"
    if key == "pulse":
        return "" if spec.type == "number" and spec.unit == "s" else f"{ref.point} is no number of seconds"
    return "" if spec.type == "switch" else f"{ref.point} is no switch"


def modems(draft: Draft) -> Iterator[Fault]:
    """A modem's port is no field line, and all who share a modem say the same of it."""
    lines = {line.url for line in draft.settings.lines}
    first: dict[str, SmsSettings] = {}
    for desk, channels in draft.settings.notify.items():
        for number, one in enumerate(channels):
            if one.sms is None:
                continue
            path: KeyPath = ("notify", desk, number, "sms", "url")
            if one.sms.url in lines:
                yield draft.document.fault(path, "this port is a field line already: a port has one owner")
            other = first.setdefault(one.sms.url, one.sms)
            if (other.baudrate, other.pin) != (one.sms.baudrate, one.sms.pin):
                yield draft.document.fault(path, "another desk names this modem with another baudrate or pin")
