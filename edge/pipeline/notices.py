"""What people are told: a transition put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from drivers.reading import Millis, Value
from drivers.vocabulary import PointSpec
from edge.channels.channel import Channel, Notice
from edge.store.alarms import Push
from rules.alarm import AlarmState, Change, Transition

SYMBOLS: Mapping[str, str] = {
    "Cel": "°C", "[ppm]": "ppm", "1": "", "bool": "", "text": "", "m3": "m³", "m3/h": "m³/h",
    "ug/m3": "µg/m³", "mg/m3": "mg/m³", "W/m2": "W/m²", "deg": "°",
}  # fmt: skip
"""UCUM codes that people write otherwise."""


@dataclass(frozen=True, slots=True)
class RuleTexts:
    """What a rule says to people, in the site's language."""

    title: str
    guide: str


def words(value: Value | None, spec: PointSpec | None) -> str:
    """A value as people read it, with its unit."""
    if value is None:
        return "无数据"
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, str) or spec is None:
        return str(value)
    return f"{value:.{spec.decimals}f} {SYMBOLS.get(spec.unit, spec.unit)}".strip()


class NoticeWriter:
    """Makes the pushes of transitions: one for each channel that carries the priority."""

    def __init__(
        self,
        site: str,
        zone: ZoneInfo,
        places: Mapping[str, str],
        points: Mapping[tuple[str, str], PointSpec],
        texts: Mapping[str, RuleTexts],
        channels: Sequence[Channel],
    ) -> None:
        self._site = site
        self._zone = zone
        self._places = places
        self._points = points
        self._texts = texts
        self._channels = channels

    def pushes(self, transitions: Sequence[Transition], now: Millis) -> list[Push]:
        """The pushes that these transitions ask for."""
        made = []
        for transition in transitions:
            if not transition.notify:
                continue
            notice = self._notice(transition)
            body = msgspec.json.encode(notice).decode()
            for channel in self._channels:
                if notice.priority in channel.priorities:
                    key = f"{notice.id}.{channel.name}"
                    made.append(Push(key, notice.occurrence, channel.name, notice.priority, body, now, now))
        return made

    def _notice(self, transition: Transition) -> Notice:
        state = transition.state
        change = "raised" if transition.change is Change.RAISED else "cleared"
        texts = self._texts.get(state.rule, RuleTexts(state.rule, ""))
        return Notice(
            id=f"{state.occurrence}.{change}",
            change=change,
            occurrence=state.occurrence,
            rule=state.rule,
            priority=state.priority,
            title=texts.title,
            place=self._places.get(state.scope, state.scope),
            message=self._message(state),
            guide=texts.guide,
            site=self._site,
            device=state.device,
            point=state.point,
            value=state.value,
            unit=state.unit,
            at=transition.at,
            when=datetime.fromtimestamp(transition.at / 1000, UTC)
            .astimezone(self._zone)
            .isoformat(sep=" ", timespec="seconds"),
        )

    def _message(self, state: AlarmState) -> str:
        spec = self._points.get((state.device, state.point))
        if spec is None:
            return state.message
        return f"{spec.zh} {words(state.value, spec)}"
