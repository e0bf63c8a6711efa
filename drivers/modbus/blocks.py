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

    A block never crosses more than `max_gap` unused addresses nor a forbidden one, never
    exceeds the largest read, and never cuts a value in two.
    """
    blocks: list[Block] = []
    for table in ("coil", "discrete", "holding", "input"):
        chosen = [(p.address, p.address + p.size, name) for name, p in points.items() if p.table == table]
        blocks.extend(_cover(table, sorted(chosen), limits))
    return tuple(blocks)


def halves(block: Block, points: Mapping[str, ModbusPoint]) -> tuple[Block, ...]:
    """The two reads that fetch a refused block's points, each with about half of its places.

    Empty where all points stand in one place (bits of one register): it cannot be halved.
    """
    places = sorted({(points[name].address, points[name].size) for name in block.points})
    if len(places) < 2:
        return ()
    middle = places[len(places) // 2]
    sides: tuple[list[str], list[str]] = ([], [])
    for name in block.points:
        sides[(points[name].address, points[name].size) >= middle].append(name)
    return tuple(_around(block.table, names, points) for names in sides)


def _around(table: Table, names: Iterable[str], points: Mapping[str, ModbusPoint]) -> Block:
    chosen = tuple(names)
    start = min(points[name].address for name in chosen)
    end = max(points[name].address + points[name].size for name in chosen)
    return Block(table, start, end - start, chosen)


def _cover(table: Table, spans: Iterable[tuple[int, int, str]], limits: ModbusLimits) -> Iterable[Block]:
    most = limits.max_bits if table in ("coil", "discrete") else limits.max_registers
    start = end = -1
    names: list[str] = []
    for low, high, name in spans:
        near = low <= end + limits.max_gap and not limits.forbids(table, end, low)
        if names and near and max(high, end) - start <= most:
            end = max(end, high)
            names.append(name)
            continue
        if names:
            yield Block(table, start, end - start, tuple(names))
        start, end, names = low, high, [name]
    if names:
        yield Block(table, start, end - start, tuple(names))
