"""What people are told: alarms, escalations and the daily word, put into words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from drivers.reading import Millis, Value
from drivers.vocabulary import PointSpec
from edge.channels.channel import Notice
from edge.channels.route import Route
from edge.store.alarms import Push
from rules.alarm import AlarmState, Change, Transition

SYMBOLS: Mapping[str, str] = {
    "Cel": "°C", "[ppm]": "ppm", "1": "", "bool": "", "text": "", "m3": "m³", "m3/h": "m³/h",
    "ug/m3": "µg/m³", "mg/m3": "mg/m³", "W/m2": "W/m²", "deg": "°",
}  # fmt: skip
"""UCUM codes that people write otherwise."""

COALESCE_MS = 3_000
"""Notices of priority 3 and 4 wait this long for their like, to go out as one digest."""

WORDS: Mapping[Change, str] = {
    Change.CLEARED: "cleared",
    Change.CLOSED: "cleared",
    Change.DIGEST: "digest",
}
"""What a notice calls a transition; all others raise an alarm, the first time or again."""


def _notice_id(transition: Transition, change: str) -> str:
    """The same for every try: of an occurrence, and of the time where it may be told again."""
    occurrence = transition.state.occurrence
    again = transition.change in (Change.ANNOUNCED, Change.REALARMED, Change.DIGEST)
    return f"{occurrence}.{change}.{transition.at}" if again else f"{occurrence}.{change}"


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
    """Makes pushes: one for each channel that carries the priority.

    `quiet` desks hear only of what is escalated to them.
    """

    def __init__(
        self,
        site: str,
        zone: ZoneInfo,
        places: Mapping[str, str],
        points: Mapping[str, Mapping[str, PointSpec]],
        texts: Mapping[str, RuleTexts],
        routes: Sequence[Route],
        quiet: Collection[str] = (),
    ) -> None:
        self._site = site
        self._zone = zone
        self._places = places
        self._points = points
        self._texts = texts
        self._routes = routes
        self._quiet = frozenset(quiet)

    def pushes(self, transitions: Sequence[Transition], now: Millis, remark: str = "") -> list[Push]:
        """The pushes that these transitions ask for; a `remark` is said behind each message."""
        desks = {route.desk for route in self._routes} - self._quiet
        made: list[Push] = []
        for transition in transitions:
            if transition.notify:
                notice = self._told(transition)
                if remark:
                    notice = replace(notice, message=f"{notice.message}（{remark}）".strip())
                made.extend(self._to(desks, notice, now))
        return made

    def escalation(self, state: AlarmState, desk: str, now: Millis) -> list[Push]:
        """The pushes that tell a desk of an alarm that nobody has acknowledged."""
        notice = self._notice(state, "escalated", state.raised_at or now)
        return self._to({desk}, replace(notice, id=f"{notice.id}.{desk}"), now)

    def heartbeat(self, desks: Collection[str], day: str, summary: str, now: Millis) -> list[Push]:
        """The daily word to desks; once a `day` (ISO date), whatever is restarted."""
        notice = Notice(
            id=f"heartbeat.{day}", change="heartbeat", occurrence="", rule="", priority=4,
            title="网关在值守", place="", message=summary, guide="", site=self._site, device="", point="",
            value=None, unit="", at=now, when=self._when(now),
        )  # fmt: skip
        return self._to(desks, notice, now)

    def _to(self, desks: Collection[str], notice: Notice, now: Millis) -> list[Push]:
        body = msgspec.json.encode(notice).decode()
        due = now + (COALESCE_MS if notice.priority >= 3 and notice.change in ("raised", "cleared") else 0)
        return [
            Push(
                f"{notice.id}.{route.channel.name}", notice.occurrence, route.channel.name, notice.priority,
                body, now, due,
            )
            for route in self._routes
            if route.desk in desks and not route.fallback and notice.priority in route.channel.priorities
        ]  # fmt: skip

    def _when(self, at: Millis) -> str:
        """An instant in the site's local time, for people."""
        local = datetime.fromtimestamp(at / 1000, UTC).astimezone(self._zone)
        return local.isoformat(sep=" ", timespec="seconds")

    def _notice(self, state: AlarmState, change: str, at: Millis) -> Notice:
        texts = self._texts.get(state.rule, RuleTexts(state.rule, ""))
        return Notice(
            id=f"{state.occurrence}.{change}",
            change=change,
            occurrence=state.occurrence,
            rule=state.rule,
            priority=state.priority,
            title=texts.title,
            place=self._places.get(state.scope, state.scope),
            message=self._said(state),
            guide=texts.guide,
            site=self._site,
            device=state.device,
            point=state.point,
            value=state.value,
            unit=state.unit,
            at=at,
            when=self._when(at),
        )

    def _told(self, transition: Transition) -> Notice:
        """One transition in words; a digest stands for many occurrences of a rule in a building."""
        state = transition.state
        change = WORDS.get(transition.change, "raised")
        notice = self._notice(state, change, transition.at)
        if transition.change is Change.DIGEST:
            place = self._places.get(transition.group, transition.group)
            notice = replace(notice, place=place, message=f"共 {transition.count} 处")
        elif state.chattering:
            notice = replace(notice, message=f"{notice.message}(反复报警,抖动)")
        return replace(notice, id=_notice_id(transition, change))

    def _said(self, state: AlarmState) -> str:
        spec = self._points.get(state.device, {}).get(state.point)
        if spec is None:
            return state.message
        return f"{spec.zh} {words(state.value, spec)}"
