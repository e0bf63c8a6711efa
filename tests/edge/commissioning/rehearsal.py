"""Simulated devices of the built-in profiles, each on an emulated wire of its own speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drivers.cjt188.settings import Cjt188Device
from drivers.dlt645.settings import Dlt645Device
from drivers.line.settings import Framing
from drivers.modbus.settings import ModbusRtuDevice
from drivers.profile import Profile
from drivers.reading import Value
from drivers.simulated.bus import Bus
from drivers.simulated.device import VirtualDevice
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs
from tests.support.wire import WireDevice

VALUES: dict[str, Value] = {
    "temperature": 23.4, "humidity": 45.6, "co2": 812.0, "frequency": 50.0, "power_factor": 0.95,
    "voltage": 230.0, "energy_import": 1234.5, "volume": 12.3, "flow": 0.4,
}  # fmt: skip
_MODELS = {"modbus-rtu": ModbusRtuDevice, "dlt645": Dlt645Device, "cjt188": Cjt188Device}


def library() -> Library:
    """The built-in profiles."""
    vocabulary, _ = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    assert vocabulary is not None
    return Library([builtin_configs() / "profiles"], vocabulary)


def device(profile_id: str, protocol: str, address: Any, name: str = "it") -> VirtualDevice:
    """One device whose points have steady, plausible values."""
    shelf = library()
    profile = shelf.profile(profile_id)
    assert isinstance(profile, Profile)
    points = shelf.points(profile)
    settings = _MODELS[protocol].model_validate(
        {"id": name, "space": "s", "line": "bus", "protocol": protocol, "profile": profile_id,
         "address": address}
    )  # fmt: skip

    def value(point: str) -> Value:
        spec = points[point]
        if spec.type == "switch":
            return True
        if spec.type == "text":
            return "2026-03-02T08:00:00"
        known = VALUES.get(point, VALUES.get(point.rpartition("_")[0], 3.0))
        low, high = spec.min or 0.0, spec.max if spec.max is not None else 1e6
        return min(max(float(known), low), high) if not isinstance(known, str) else known

    return VirtualDevice(settings, profile, points, {p: (lambda p=p: value(p)) for p in points})


def on_wire(devices: Sequence[VirtualDevice], baudrate: int, framing: str) -> list[WireDevice]:
    """Each with its own ears: a wire of one speed, which the devices share."""

    def one(virtual: VirtualDevice) -> WireDevice:
        bus = Bus([virtual], baudrate, seed=1)

        def answer(request: bytes) -> bytes | None:
            bus.quiet()
            return b"".join(spoken.data for spoken in bus.receive(request)) or None

        return WireDevice(answer, baudrate, Framing(framing))

    return [one(virtual) for virtual in devices]
