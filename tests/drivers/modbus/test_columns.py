"""Readings made by columns are those that judging value by value makes."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.blocks import Block, plan
from drivers.modbus.codec import block_decoder
from drivers.modbus.columns import Compiled, compiled
from drivers.modbus.profile import NO_VALUES, ModbusPoint, ModbusProfile
from drivers.profile import judge_of
from drivers.reading import Reading
from drivers.vocabulary import PointSpec

AT = 1_790_000_000_000
SCALES = (1.0, 0.1, 0.01, 0.5, 0.25, 1e-3, 2.0, 0.3, -0.1, 1.0000000000001)
BOUNDS = (None, -1e6, -40.0, 0.0, 1.0, 85.0, 3276.7, 65_535.0, 1e19)

specs = st.builds(
    lambda bounds, counter, kind: PointSpec(
        unit="1", zh="数", en="number", counter=counter, type=kind, min=bounds[0], max=bounds[1]
    ),
    st.tuples(st.sampled_from(BOUNDS), st.sampled_from(BOUNDS)).filter(
        lambda bounds: None in bounds or bounds[0] < bounds[1]
    ),
    st.booleans(),
    st.sampled_from(["number", "number", "number", "number", "switch"]),
)
mappings = st.builds(
    lambda kind, order, scale, offset, sentinels, bit: {
        "type": kind, "order": order, "scale": scale, "offset": offset, "sentinels": sentinels,
        **({"bit": bit} if kind == "bit" else {}),
    },
    st.sampled_from(["u16", "s16", "u16", "u32", "s32", "u64", "f32", "bit"]),
    st.sampled_from(["ABCD", "ABCD", "ABCD", "CDAB", "DCBA"]),
    st.sampled_from(SCALES), st.sampled_from([0.0, 0.0, 0.0, -40.0]),
    st.lists(st.sampled_from([0.0, 1.0, 999.0, -1.0, 65_534.0]), max_size=2), st.integers(0, 15),
)  # fmt: skip


def the_profile(maps: list[dict[str, object]], gaps: list[int]) -> ModbusProfile:
    """The points one behind the other, with gaps (or an overlap) between them."""
    points: dict[str, dict[str, object]] = {}
    address = 0
    for number, (mapping, gap) in enumerate(zip(maps, gaps, strict=True)):
        address = max(0, address + gap)
        points[f"p{number}"] = {**mapping, "address": address}
        address += ModbusPoint.model_validate(points[f"p{number}"]).size
    return ModbusProfile.model_validate(
        {"family": "modbus", "id": "t", "maker": "t", "model": "t", "kind": "contact",
         "source": "made up here", "limits": {"max_gap": 8, "max_registers": 125}, "points": points}
    )  # fmt: skip


def one_by_one(
    profile: ModbusProfile, words: Mapping[str, PointSpec], block: Block, frame: bytes
) -> list[Reading]:
    """The plain way: each raw number to its judge."""
    maps = [profile.points[name] for name in block.points]
    raws = block_decoder(block, maps)(frame)
    return [
        Reading("d", name, value, words[name].unit, AT, AT, quality, reason)
        for name, mapping, raw in zip(block.points, maps, raws, strict=True)
        for value, quality, reason in [judge_of(mapping, words[name])(raw)]
    ]


def shown(readings: list[Reading]) -> list[tuple[object, ...]]:
    """Comparable, with the types of values and the sign of zero."""
    return [(*reading[:2], repr(reading.value), *reading[3:]) for reading in readings]


@given(st.data())
def test_columns_and_judges_agree_on_every_frame(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    maps = data.draw(st.lists(mappings, min_size=count, max_size=count))
    gaps = data.draw(st.lists(st.sampled_from([0, 0, 0, 1, 3, -1]), min_size=count, max_size=count))
    profile = the_profile(maps, gaps)
    words = {name: data.draw(specs) for name in profile.points}
    made = Compiled(profile, words)
    assert made.blocks == plan(profile.points, profile.limits)
    for block in made.blocks:
        special = [0, 1, 200, 215, 0xFFFF, 0x7FFF, 0x8000, 0x7FC0, 0x7F80, 0xFF80]
        registers = data.draw(
            st.lists(st.sampled_from(special) | st.integers(0, 0xFFFF), min_size=block.count,
                     max_size=block.count)
        )  # fmt: skip
        frame = bytes([1, 3, 2 * block.count]) + struct.pack(f">{block.count}H", *registers)
        wanted = one_by_one(profile, words, block, frame)
        assert shown(made.part(block).read("d", frame, AT)) == shown(wanted)


def test_numbers_of_all_widths_and_their_sentinels_agree() -> None:
    """Every special number of every type, at bounds that let it pass and at some that do not."""
    codes = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q"}
    for kind, (always, unless_counting) in NO_VALUES.items():
        for counter in (False, True):
            for top in (None, 100.0, 1e19):
                for scale in (1.0, 0.1):
                    words = {"p0": PointSpec(unit="1", zh="数", en="n", counter=counter, max=top)}
                    profile = the_profile([{"type": kind, "scale": scale}], [0])
                    (block,) = (made := Compiled(profile, words)).blocks
                    for raw in (*always, *unless_counting, 0, 7, 1001):
                        data = struct.pack(">" + codes[kind], raw)
                        frame = bytes([1, 3, len(data)]) + data
                        wanted = one_by_one(profile, words, block, frame)
                        assert shown(made.part(block).read("d", frame, AT)) == shown(wanted)


def test_infinite_and_missing_floats_are_never_good() -> None:
    words = {"p0": PointSpec(unit="1", zh="数", en="n")}
    profile = the_profile([{"type": "f32"}], [0])
    (block,) = (made := Compiled(profile, words)).blocks
    for value in (math.inf, -math.inf, math.nan):
        frame = bytes([1, 3, 4]) + struct.pack(">f", value)
        (reading,) = made.part(block).read("d", frame, AT)
        assert (reading.value, reading.reason) == (None, "not_a_number")


def test_devices_of_one_model_share_what_is_compiled() -> None:
    words = {"p0": PointSpec(unit="1", zh="数", en="n")}
    profile = the_profile([{"type": "u16"}], [0])
    assert compiled(profile, dict(words)) is compiled(profile, dict(words))
    assert compiled(the_profile([{"type": "u16"}], [0]), words) is not compiled(profile, words)
    other = {"p0": PointSpec(unit="V", zh="数", en="n")}
    assert compiled(profile, other) is not compiled(profile, words)
