"""What a leaf says, and how it gets the value that it compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from drivers.reading import Millis, Value
from drivers.settings import millis
from rules.binding import PointRef
from rules.cell import Description, Probe
from rules.comparison import Compare, comparison, resolve
from rules.track import Track, Watch
from rules.tree import Node
from rules.window import Window


def describe(node: Node, ref: PointRef, params: Mapping[str, float]) -> Description:
    """What a leaf says, with its numbers; `ref` is its first point."""
    natural = {"count": "1", "count_true": "1", "since_change": "s", "min_rate": f"{ref.unit}/h"}
    unit = node.unit or natural.get(node.agg, ref.unit)
    return Description(
        role=node.p or "",
        agg=node.agg,
        over_ms=None if node.over is None else millis(node.over),
        op=node.op or "",
        val=resolve(node.val, params),
        clear=resolve(node.clear, params),
        unit=unit,
    )


def compare_of(description: Description) -> Compare:
    """A leaf's comparison with fixed values; ValueError where it has none."""
    if description.val is None:
        raise ValueError(f"{description.role}: nothing to compare with")
    return comparison(description.op, description.val, description.clear)


def probe_of(node: Node, tracks: Sequence[Track], windows: Sequence[Window], loss: Sequence[Watch]) -> Probe:
    """The value of a leaf: that of its point, or of several as one, through windows where it has them."""
    if windows:
        return _merged(node.pick, [_through(one) for one in windows], loss)
    one = _since_change if node.agg == "since_change" else _newest
    return _merged(node.pick, [one(track) for track in tracks], loss)


def ramps_of(description: Description) -> Sequence[Millis]:
    """After how long without a change the time since the last one passes a threshold by itself."""
    thresholds: list[float] = []
    for operand in (description.val, description.clear):
        for part in operand if isinstance(operand, tuple) else (operand,):
            if isinstance(part, float | int) and not isinstance(part, bool):
                thresholds.append(part)
    # A strict comparison turns one millisecond behind the threshold.
    late = 1 if description.op in ("gt", "le", "between") else 0
    return sorted({max(1, round(seconds * 1000) + late) for seconds in thresholds})


def _newest(track: Track) -> Probe:
    return lambda _: track.value


def _through(window: Window) -> Probe:
    return lambda _: window.value()


def _since_change(track: Track) -> Probe:
    return lambda at: None if track.changed_at is None else (at - track.changed_at) / 1000


def _merged(pick: str | None, probes: Sequence[Probe], loss: Sequence[Watch]) -> Probe:
    """The greatest, least or mean of the points that speak; None when none does."""
    if len(probes) == 1:
        return probes[0]
    merge: Callable[[list[float]], float] = (
        max if pick == "max" else min if pick == "min" else lambda values: sum(values) / len(values)
    )
    pairs = tuple(zip(probes, loss, strict=True))

    def probe(at: Millis) -> Value | None:
        values = [value for each, watch in pairs if not watch.lapses and (value := each(at)) is not None]
        numbers = [float(value) for value in values if not isinstance(value, str)]
        return merge(numbers) if numbers else None

    return probe
