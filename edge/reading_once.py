"""One reading of one device for an installer: values, frames and what went wrong in words."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from drivers.errors import LineDown
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.counters import DeviceCounters
from drivers.line.listener import Listener, Speaker
from drivers.line.schedule import Rank
from drivers.line.settings import FieldLine, Framing, SerialLine, TcpLine
from drivers.line.transport import Lost, Receive, Transport, transport_for
from drivers.reading import Quality, Reading
from drivers.registry import build_polled, build_speaking
from edge.clock import now, rfc3339
from edge.config.configuration import Configuration, DeviceModel
from edge.pipeline.notices import words

ADVICE = {
    "timeout": "没有应答: 查设备电源、A/B 接线、地址和波特率 (check power, A/B wiring, address, baud rate)",
    "crc": "应答校验错误: 查波特率、校验位、终端电阻和屏蔽 (check baud rate, parity, termination, shield)",
    "noise": "收到的不是有效帧: 查波特率和校验位 (bytes but no frame: check baud rate and parity)",
    "wrong_address": "另一台设备应答: 查地址是否重复 (another device answers: check for a double address)",
    "line_down": "端口打不开或已断开: 查端口名称、权限、是否被占用 (check the port's name and permission)",
    "exception:1": "设备不支持此功能码: 查型号与配置文件 (illegal function: check the profile)",
    "exception:2": "设备没有此寄存器: 查型号与配置文件 (illegal address: check the profile)",
}


LONGEST_PERIOD_S = 10.0
"""A device that speaks by itself is waited for three of its periods, each at most this long."""


class NotPolled(Exception):
    """The device speaks by itself; there is nothing to ask."""


@dataclass(slots=True)
class Recording:
    """A transport that remembers what passed."""

    inner: Transport
    frames: list[tuple[str, bytes]] = field(default_factory=list)

    async def open(self, receive: Receive, lost: Lost) -> None:
        """Opens, listening in."""

        def heard(data: bytes) -> None:
            self.frames.append(("<", data))
            receive(data)

        await self.inner.open(heard, lost)

    def configure(self, baudrate: int, framing: Framing) -> None:
        """Hands on."""
        self.inner.configure(baudrate, framing)

    def write(self, data: bytes) -> None:
        """Hands on and remembers."""
        self.frames.append((">", data))
        self.inner.write(data)

    def close(self) -> None:
        """Hands on."""
        self.inner.close()


@dataclass(frozen=True, slots=True)
class Result:
    """What one round brought."""

    device: str
    model: DeviceModel
    readings: Sequence[Reading]
    frames: Sequence[tuple[str, bytes]]
    counters: DeviceCounters
    trouble: str

    @property
    def good(self) -> bool:
        """Whether all values are good."""
        return all(r.quality is Quality.GOOD for r in self.readings)


async def read_once(configuration: Configuration, device: str) -> Result:
    """Opens the device's line, reads it once and closes. One that speaks by itself is heard until it has
    said everything, or until it is silent; NotPolled for one behind a broker."""
    model = configuration.devices[device]
    line = next(line for line in configuration.settings.lines if line.id == model.settings.line)
    if not isinstance(line, SerialLine | TcpLine):
        raise NotPolled(f"{device} speaks by itself over {line.url}: watch it on the dashboard")
    if model.profile.speaks_first:
        return await _hear(device, model, line)
    driver = build_polled(model.settings, model.profile, model.points, line)
    attached = Attached(device, driver, 3600.0, Rank.NORMAL)
    recording = Recording(transport_for(line))
    done: asyncio.Future[Sequence[Reading]] = asyncio.get_running_loop().create_future()

    def take(readings: Sequence[Reading]) -> None:
        if not done.done():
            done.set_result(readings)

    arbiter = Arbiter(line, recording, [attached], take, now)
    logging.getLogger("drivers").setLevel(logging.ERROR)  # the report says it all
    trouble = ""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_serve(arbiter))
        readings = await done
        task.cancel()
    if arbiter.counters.last_error:
        trouble = arbiter.counters.last_error
    return Result(device, model, readings, recording.frames, attached.counters, trouble)


async def _hear(device: str, model: DeviceModel, line: FieldLine) -> Result:
    period_s = min(model.settings.every.total_seconds(), LONGEST_PERIOD_S)
    speaker = Speaker(device, build_speaking(model.settings, model.profile, model.points), period_s)
    recording = Recording(transport_for(line))
    found: dict[str, Reading] = {}
    complete = asyncio.Event()

    def take(readings: Sequence[Reading]) -> None:
        for reading in readings:
            if reading.quality is Quality.GOOD or reading.point not in found:
                found[reading.point] = reading
        if len(found) == len(model.points):
            complete.set()

    listener = Listener(line, recording, [speaker], take, now)
    logging.getLogger("drivers").setLevel(logging.ERROR)  # the report says it all
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_serve(listener))
        await complete.wait()
        task.cancel()
    readings = [found[point] for point in model.points]
    return Result(device, model, readings, recording.frames, speaker.counters, listener.counters.last_error)


async def _serve(owner: Arbiter | Listener) -> None:
    try:
        await owner.run()
    except LineDown:
        return  # its readings say so


def report(result: Result, points: Sequence[str] | None, *, as_json: bool) -> str:
    """The result as text, or as JSON for machines."""
    chosen = [r for r in result.readings if not points or r.point in points]
    if as_json:
        return json.dumps(
            {
                "device": result.device,
                "frames": [{"way": way, "hex": data.hex(" ")} for way, data in result.frames],
                "readings": [
                    {"point": r.point, "value": r.value, "unit": r.unit, "at": rfc3339(r.at),
                     "quality": r.quality, "reason": r.reason}
                    for r in chosen
                ],
            },
            ensure_ascii=False,
            indent=2,
        )  # fmt: skip
    lines = [f"  {'发送' if way == '>' else '收到'} {way} {data.hex(' ')}" for way, data in result.frames]
    for latency in result.counters.latencies_ms:
        lines.append(f"  {latency:.0f} ms")
    for reading in chosen:
        spec = result.model.points[reading.point]
        shown = words(reading.value, spec) if reading.quality is Quality.GOOD else f"✗ {reading.reason}"
        lines.append(f"{reading.point:24} {shown:>16}   {spec.zh}")
    for reason in dict.fromkeys(r.reason for r in chosen if r.reason):
        lines.append(f"{reason}: {ADVICE.get(reason, '见安装手册 (see the install guide)')}")
    if result.trouble:
        lines.append(result.trouble)
    return "\n".join(lines)
