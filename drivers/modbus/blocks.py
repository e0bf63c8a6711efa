"""Which registers to read together: fewest exchanges under a device's limits; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from drivers.modbus.profile import ModbusLimits, ModbusPoint, Table


@dataclass(frozen=True, slots=True)
class Block:
    """One read: `count` registers (or bits) of a table from `start`, and the points in it."""

    table: Table
    start: int
    count: int
    points: tuple[str, ...]


def plan(points: Mapping[str, ModbusPoint], limits: ModbusLimits) -> tuple[Block, ...]:
    """The reads that fetch all points, by table and address.

    A block never crosses more than `max_gap` unused addresses, never exceeds the
    largest read, and never cuts a value in two.
    """
    blocks: list[Block] = []
    for table in ("coil", "discrete", "holding", "input"):
        chosen = [(p.address, p.address + p.size, name) for name, p in points.items() if p.table == table]
        most = limits.max_bits if table in ("coil", "discrete") else limits.max_registers
        blocks.extend(_cover(table, sorted(chosen), most, limits.max_gap))
    return tuple(blocks)


def _cover(table: Table, spans: Iterable[tuple[int, int, str]], most: int, gap: int) -> Iterable[Block]:
    start = end = -1
    names: list[str] = []
    for low, high, name in spans:
        if names and low <= end + gap and max(high, end) - start <= most:
            end = max(end, high)
            names.append(name)
            continue
        if names:
            yield Block(table, start, end - start, tuple(names))
        start, end, names = low, high, [name]
    if names:
        yield Block(table, start, end - start, tuple(names))
