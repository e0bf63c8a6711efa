"""Settings of Modbus devices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drivers.line.settings import Baudrate, Framing
from drivers.settings import DeviceSettings, Duration

UnitId = Annotated[int, Field(ge=1, le=255, description="Modbus unit id")]


class ModbusRtuDevice(DeviceSettings):
    """A Modbus RTU device on a serial line, or behind a transparent serial server (RTU over TCP)."""

    protocol: Literal["modbus-rtu"]
    address: Annotated[int, Field(ge=1, le=247, description="Modbus unit id")]
    baudrate: Baudrate | None = None
    framing: Framing | None = None
    timeout: Duration | None = None


class ModbusAsciiDevice(DeviceSettings):
    """A Modbus ASCII device on a serial line, or behind a transparent serial server."""

    protocol: Literal["modbus-ascii"]
    address: Annotated[int, Field(ge=1, le=247, description="Modbus unit id")]
    baudrate: Baudrate | None = None
    framing: Framing | None = None
    timeout: Duration | None = None


class ModbusTcpDevice(DeviceSettings):
    """A Modbus TCP device, or a unit behind a Modbus TCP gateway."""

    protocol: Literal["modbus-tcp"]
    address: Annotated[int, Field(ge=0, le=255, description="Modbus unit id")] = 1
    timeout: Duration | None = None


ModbusDevice = ModbusRtuDevice | ModbusAsciiDevice | ModbusTcpDevice
