"""Small SVG plots without a plotting library: bars with their spread, and distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from tests.bench.figures import Spread, percentile

WIDTH = 720
LABEL = 190
ROW = 30
COLOURS = ("#1769aa", "#6b7280", "#b45309", "#b91c1c", "#047857", "#7c3aed")
_STYLE = 'font-family="system-ui, sans-serif" font-size="13"'


def bars(title: str, rows: Mapping[str, Spread], factor: float, decimals: int) -> str:
    """A bar for each row's median, a whisker from the smallest to the largest repetition."""
    top = max((one.high for one in rows.values()), default=0.0) or 1.0
    scale = (WIDTH - LABEL - 110) / top
    parts = [_text(0, 18, title, weight="bold")]
    for number, (label, one) in enumerate(rows.items()):
        y = 34 + number * ROW
        colour = COLOURS[number % len(COLOURS)]
        parts.append(_text(LABEL - 8, y + 14, label, anchor="end"))
        parts.append(
            f'<rect x="{LABEL}" y="{y}" width="{one.median * scale:.1f}" height="18" fill="{colour}"/>'
        )
        low, high = LABEL + one.low * scale, LABEL + one.high * scale
        parts.append(f'<path d="M{low:.1f} {y + 9}H{high:.1f}" stroke="#111827" stroke-width="1.5"/>')
        parts.append(_text(max(high, LABEL) + 8, y + 14, f"{one.median * factor:,.{decimals}f}"))
    return _svg(parts, 44 + len(rows) * ROW)


def distributions(title: str, curves: Mapping[str, Sequence[float]], factor: float) -> str:
    """The share of values (vertical, 0 to 100 %) up to a value (horizontal, logarithmic, times `factor`)."""
    shown = {label: [v * factor for v in values if v > 0] for label, values in curves.items()}
    shown = {label: values for label, values in shown.items() if values}
    low = min((min(values) for values in shown.values()), default=0.1)
    high = max((max(values) for values in shown.values()), default=1.0)
    left, right = math.log10(low) - 0.02, math.log10(high) + 0.02
    box_left, box_width, box_top, box_height = 46.0, WIDTH - 220.0, 30.0, 230.0

    def x(value: float) -> float:
        return box_left + (math.log10(value) - left) / (right - left) * box_width

    parts = [_text(0, 18, title, weight="bold")]
    for share in (0.0, 0.5, 0.9, 0.99, 1.0):
        y = box_top + (1 - share) * box_height
        parts.append(f'<path d="M{box_left} {y:.1f}h{box_width}" stroke="#d1d5db"/>')
        if share != 0.99:
            parts.append(_text(box_left - 6, y + 4, f"{share:.0%}", anchor="end"))
    for tick in _ticks(low, high):
        parts.append(f'<path d="M{x(tick):.1f} {box_top}v{box_height}" stroke="#e5e7eb"/>')
        parts.append(_text(x(tick), box_top + box_height + 18, f"{tick:g}", anchor="middle"))
    for number, (label, values) in enumerate(shown.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = []
        for step in range(101):
            value = percentile(values, step / 100)
            assert value is not None
            points.append(f"{x(value):.1f},{box_top + (1 - step / 100) * box_height:.1f}")
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        y = box_top + 14 + number * 20
        parts.append(
            f'<rect x="{box_left + box_width + 16}" y="{y - 10}" width="12" height="12" fill="{colour}"/>'
        )
        parts.append(_text(box_left + box_width + 34, y, label))
    return _svg(parts, round(box_top + box_height + 30))


def course(title: str, rows: Mapping[str, Sequence[float]], step: float, factor: float) -> str:
    """Values one behind the other, `step` apart in the unit of the horizontal axis; from 0 up."""
    shown = {label: [v * factor for v in values] for label, values in rows.items() if values}
    top = max((max(values) for values in shown.values()), default=0.0) or 1.0
    longest = max((len(values) for values in shown.values()), default=2)
    box_left, box_width, box_top, box_height = 46.0, WIDTH - 220.0, 30.0, 230.0
    parts = [_text(0, 18, title, weight="bold")]
    for share in (0.0, 0.5, 1.0):
        y = box_top + (1 - share) * box_height
        parts.append(f'<path d="M{box_left} {y:.1f}h{box_width}" stroke="#d1d5db"/>')
        parts.append(_text(box_left - 6, y + 4, f"{top * share:.0f}", anchor="end"))
        middle = box_left + share * box_width
        parts.append(
            _text(middle, box_top + box_height + 18, f"{share * (longest - 1) * step:g}", anchor="middle")
        )
    for number, (label, values) in enumerate(shown.items()):
        colour = COLOURS[number % len(COLOURS)]
        across = box_width / max(1, longest - 1)
        points = " ".join(
            f"{box_left + place * across:.1f},{box_top + (1 - value / top) * box_height:.1f}"
            for place, value in enumerate(values)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(box_left + box_width + 16, box_top + 14 + number * 20, label))
    return _svg(parts, round(box_top + box_height + 30))


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each decade between; the ends when no such number lies between."""
    found = [
        factor * 10.0**decade
        for decade in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factor in (1, 2, 5)
        if low <= factor * 10.0**decade <= high
    ]
    return found or [float(f"{low:.4g}"), float(f"{high:.4g}")]


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text {where} fill="#111827" {_STYLE}>{escape(text)}</text>'


def _svg(parts: Sequence[str], height: int) -> str:
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"
