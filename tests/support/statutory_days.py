"""Renews `configs/calendars/statutory-cn.yaml`, once a year when the State Council has published.

    python -m venv /tmp/renew && /tmp/renew/bin/pip install holidays
    /tmp/renew/bin/python tests/support/statutory_days.py 2025 2027 > configs/calendars/statutory-cn.yaml

The library `holidays` knows the days by law for any year, the make-up workdays (调休) of published
years only. It is no dependency: it would cost a running gateway 20 MB for sixty dates.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.metadata import version

import holidays

_SWAP = re.compile(r"由 (\d{4}-\d\d-\d\d) 调休")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def runs(days: dict[date, str]) -> Iterator[tuple[date, date, str]]:
    """Consecutive dates of one name as one."""
    begun: tuple[date, date, str] | None = None
    for day, name in sorted(days.items()):
        if begun is not None and begun[1] + timedelta(days=1) == day and begun[2] == name:
            begun = (begun[0], day, name)
            continue
        if begun is not None:
            yield begun
        begun = (day, day, name)
    if begun is not None:
        yield begun


def main(first: int, last: int) -> None:
    """Prints the file."""
    found = holidays.country_holidays("CN", years=range(first, last + 1), language="zh_CN")
    rests = {
        day: _SWAP.sub("调休", name).replace("休息日（调休）", "调休放假") for day, name in found.items()
    }
    makeup: dict[date, str] = {}
    for day, name in found.items():
        if swapped := _SWAP.search(name):
            makeup[date.fromisoformat(swapped[1])] = _WEEKDAYS[day.weekday()]
    published = sorted({day.year for day in makeup})
    print("# Holidays by law and make-up workdays (调休): the layer below terms' own days (`statutory: cn`).")
    print("# Made by tests/support/statutory_days.py; a school's own days stand above it.")
    print("country: cn")
    print(f'source: "国务院办公厅每年关于部分节假日安排的通知,取自 Python 库 holidays {version("holidays")}"')
    print("verified: true")
    print("# Years whose make-up workdays are published.")
    print(f"published: {published}")
    print("days:")
    for begin, end, name in runs(rests):
        print(f'  - {{name: {name}, first: "{begin}", last: "{end}", type: rest}}')
    for day, follows in sorted(makeup.items()):
        print(f'  - {{name: 调休上班, first: "{day}", last: "{day}", type: school, follows: {follows}}}')


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
