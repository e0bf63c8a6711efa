"""The gateway's configuration file: the packages' settings put together.

Each package owns its settings; what stands here is the frame around them and what only
the gateway as a whole needs. `load.py` reads it, `schema.py` prints its JSON Schema.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from cloud_sync.settings import AnyDestination
from drivers.cjt188.settings import Cjt188Device
from drivers.davis.settings import DavisDevice
from drivers.dlt645.settings import Dlt645Device
from drivers.line.settings import SerialLine, TcpLine
from drivers.modbus.settings import ModbusAsciiDevice, ModbusRtuDevice, ModbusTcpDevice
from drivers.mqtt.settings import MqttDevice, MqttLine
from drivers.nmea.settings import NmeaDevice
from drivers.registry import LineKind
from drivers.settings import Duration, Id, Settings
from drivers.text.settings import TextDevice
from drivers.vocabulary import PointName
from edge.channels.settings import ChannelSettings, DeskSettings, PushSettings

_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*(kB|MB|GB|TB)")
_BYTE_UNIT = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_LISTEN = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


def parse_bytes(text: Any) -> Any:
    """`500MB` or `8GB` (powers of ten) as a number of bytes; ValueError for anything else."""
    match = _BYTES.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("expected a size such as 500MB or 8GB")
    return round(float(match[1]) * _BYTE_UNIT[match[2]])


Bytes = Annotated[int, BeforeValidator(parse_bytes, json_schema_input_type=str)]


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("expected an IANA time zone such as Asia/Shanghai") from error
    return name


def _listen(address: str) -> str:
    match = _LISTEN.fullmatch(address)
    if match is None or int(match[2]) > 65535:
        raise ValueError('expected "host:port" such as "127.0.0.1:8080" or "0.0.0.0:8443"')
    return address


class SiteSettings(Settings):
    """The school."""

    id: Id
    name: Annotated[str, Field(min_length=1, max_length=100)]
    district: Id
    timezone: Annotated[str, AfterValidator(_timezone)] = "Asia/Shanghai"
    latitude: Annotated[float, Field(ge=-90, le=90, description="degrees north")]
    longitude: Annotated[float, Field(ge=-180, le=180, description="degrees east")]


class SpaceSettings(Settings):
    """One place in the tree of spaces: a building, a floor, a room, a gate."""

    id: Id
    name: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Annotated[PointName, Field(description="one of the vocabulary's space_kinds")]
    parent: Annotated[Id | None, Field(alias="in", description="the space that holds this one")] = None
    area_m2: Annotated[float, Field(gt=0)] | None = None
    seats: Annotated[int, Field(ge=0)] | None = None
    tags: dict[PointName, str | bool | float] = Field(
        default_factory=dict, description="free marks that rules select by"
    )


class StoreSettings(Settings):
    """What is kept on this machine, and how often it is written down."""

    keep_raw: Annotated[Duration, Field(ge=timedelta(days=1))] = timedelta(days=400)
    max_bytes: Annotated[Bytes, Field(ge=16_000_000)] = 8_000_000_000
    group: Annotated[
        Duration,
        Field(
            gt=timedelta(0),
            le=timedelta(minutes=1),
            description="readings are committed together once in this time",
        ),
    ] = timedelta(seconds=10)


class ClockSettings(Settings):
    """When the wall clock is doubted. Rows dated by a doubted clock are not sent to the district
    until they are dated anew, or for `hold` at most."""

    require_sync: Annotated[
        Literal["auto", "always", "never"],
        Field(
            description="auto: a clock that is not synchronised is doubted on a machine without a"
            " real-time clock on which a time service runs"
        ),
    ] = "auto"
    hold: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(hours=24)


class ActionSettings(Settings):
    """How rules act. A rule of mode auto only says what it would do, until it did so for `shadow` and an
    engineer armed it; `shadow: 0s` lets rules act at once, for demonstrations. `override` is how long a
    person's command holds its point against rules, `proposal` how long a proposal waits for a yes. With
    `two_persons` one asks for a rule to be armed and another one agrees."""

    shadow: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=90))] = timedelta(days=7)
    two_persons: bool = True
    override: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=1))] = timedelta(hours=1)
    proposal: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=1))] = timedelta(
        minutes=15
    )


class WebSettings(Settings):
    """The dashboard and the API. With `tls: auto` the gateway makes a certificate of its
    own, except on a loopback address, where it serves plain HTTP."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8080"
    tls: Literal["auto", "off"] = "auto"

    @property
    def host(self) -> str:
        """The address to bind, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The TCP port; 0 takes a free one."""
        return int(self.listen.rpartition(":")[2])


_SCHEMES: dict[str, LineKind] = {"serial": "serial", "tcp": "tcp", "mqtt": "mqtt", "mqtts": "mqtt"}


def _line_kind(line: Any) -> LineKind | None:
    url = line.get("url") if isinstance(line, dict) else getattr(line, "url", None)
    return _SCHEMES.get(url.partition(":")[0]) if isinstance(url, str) else None


Line = Annotated[
    Annotated[SerialLine, Tag("serial")] | Annotated[TcpLine, Tag("tcp")] | Annotated[MqttLine, Tag("mqtt")],
    Discriminator(
        _line_kind,
        custom_error_type="line_url",
        custom_error_message="expected url: serial:/dev/..., tcp://host:port, mqtt://host:port or mqtts://host:port",
    ),
]
Device = Annotated[
    ModbusRtuDevice
    | ModbusAsciiDevice
    | ModbusTcpDevice
    | Dlt645Device
    | Cjt188Device
    | DavisDevice
    | NmeaDevice
    | TextDevice
    | MqttDevice,
    Field(discriminator="protocol"),
]


def line_kind(line: SerialLine | TcpLine | MqttLine) -> LineKind:
    """How a line is reached: serial, tcp or mqtt."""
    return _SCHEMES[line.url.partition(":")[0]]


class GatewayConfig(Settings):
    """One school's configuration, includes merged in."""

    version: Literal[1]
    site: SiteSettings
    include: tuple[str, ...] = Field(
        default=(),
        description="more files, relative to this one: spaces, lines, devices, rules, sync, notify",
    )
    spaces: tuple[SpaceSettings, ...] = ()
    lines: tuple[Line, ...] = ()
    devices: tuple[Device, ...] = ()
    profiles: tuple[str, ...] = Field(default=(), description="folders with more device profiles")
    calendar: str | None = Field(default=None, description="the calendar file, relative to this one")
    rules: tuple[str, ...] = Field(
        default=(), description="rule files, as patterns relative to this file, else among the built-in ones"
    )
    store: StoreSettings = StoreSettings()
    sync: tuple[AnyDestination, ...] = ()
    notify: dict[Id, tuple[ChannelSettings, ...]] = Field(
        default_factory=dict, description="for each desk the channels that tell it"
    )
    push: PushSettings = PushSettings()
    actions: ActionSettings = ActionSettings()
    desk: DeskSettings | None = Field(
        default=None, description="staffed hours, in which a missing or mute alarm page is an alarm"
    )
    clock: ClockSettings = ClockSettings()
    web: WebSettings = WebSettings()


class IncludedConfig(Settings):
    """What an included file may hold."""

    include: tuple[str, ...] = ()
    spaces: tuple[SpaceSettings, ...] = ()
    lines: tuple[Line, ...] = ()
    devices: tuple[Device, ...] = ()
    profiles: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    sync: tuple[AnyDestination, ...] = ()
    notify: dict[Id, tuple[ChannelSettings, ...]] = Field(default_factory=dict)
