"""Device settings for a device that a search has seen, as the configuration would hold them."""

from __future__ import annotations

from typing import Any

from drivers.cjt188.settings import Cjt188Device
from drivers.dlt645.settings import Dlt645Device
from drivers.modbus.settings import ModbusRtuDevice, ModbusTcpDevice
from drivers.settings import DeviceSettings
from edge.commissioning.sighting import Sighting

_MODELS: dict[str, type[DeviceSettings]] = {
    "modbus-rtu": ModbusRtuDevice,
    "modbus-tcp": ModbusTcpDevice,
    "dlt645": Dlt645Device,
    "cjt188": Cjt188Device,
}


def fields_of(sighting: Sighting) -> dict[str, Any]:
    """What of the settings the search has found out."""
    address: int | str = sighting.address
    if sighting.protocol.startswith("modbus"):
        address = int(sighting.address)
    fields: dict[str, Any] = {"protocol": sighting.protocol, "address": address}
    if sighting.wire is not None:
        fields |= {"baudrate": sighting.wire.baudrate, "framing": sighting.wire.framing.value}
    return fields


def settings_of(sighting: Sighting, device: str, profile: str, line: str, space: str) -> DeviceSettings:
    """The settings model of its protocol."""
    fields = {"id": device, "space": space, "line": line, "profile": profile, **fields_of(sighting)}
    return _MODELS[sighting.protocol].model_validate(fields)
