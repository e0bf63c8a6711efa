"""The daily word says what rules found, and what they asked of people, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from drivers.reading import Millis
from edge.pipeline.daily_news import DailyNews, Titles
from edge.store import actions
from edge.store.actions import ActionState
from edge.store.database import Database
from rules.finding import Finding
from rules.intent import Act, ActKind, Intent
from tests.support.stores import core

NOW: Millis = 1_764_028_800_000
HOUR: Millis = 3_600_000
TITLES = Titles({"waste": "夜间用电"}, {"r301": "三〇一", "r302": "三〇二"}, {"light.off": "关灯"})


def act(kind: ActKind, scope: str, ago: Millis, cmd: str = "light.off") -> Act:
    """What a rule decided so long ago."""
    name = f"rule.{scope}.{ago}"
    intent = Intent(name, "rule", scope, name, 0, cmd, "lamp", "on", False, 12, NOW - ago)
    return Act(kind, NOW - ago, intent, False)


async def news(
    database: Database,
    acts: Sequence[Act] = (),
    found: Sequence[Finding] = (),
    answer: ActionState = "expired",
) -> str:
    """The text of a day in which all proposals of `r301` were answered so."""

    def keep(c: sqlite3.Connection) -> None:
        actions.add(c, acts, NOW)
        for one in acts:
            if one.kind is ActKind.PROPOSED and one.intent.scope == "r301":
                actions.answer(c, one.intent.id, answer, "", "", NOW)

    async def between(since: Millis, until: Millis) -> Sequence[Finding]:
        assert until - since == 24 * HOUR
        return found

    await database.run(keep)
    return await DailyNews(between, database, TITLES).of(NOW)


async def test_a_day_without_anything_says_nothing(tmp_path: Path) -> None:
    async with core(tmp_path) as database:
        done = [act(ActKind.ORDERED, "r301", HOUR), act(ActKind.PROPOSED, "r302", 25 * HOUR)]
        assert await news(database, done) == ""


async def test_proposals_are_told_with_their_answer_and_the_like_of_them_once(tmp_path: Path) -> None:
    async with core(tmp_path) as database:
        asked = [
            act(ActKind.PROPOSED, "r301", 3 * HOUR), act(ActKind.PROPOSED, "r301", 2 * HOUR),
            act(ActKind.PROPOSED, "r302", HOUR), act(ActKind.ADVISED, "r302", HOUR // 2, "power.cut"),
        ]  # fmt: skip
        said = await news(database, asked)
    assert (
        said == "规则建议 3 项：三〇二 power.cut（请人处理）、三〇二 关灯（待答复）、三〇一 关灯×2（未答复）"
    )


async def test_findings_are_told_with_their_amount_where_it_is_known(tmp_path: Path) -> None:
    found = [
        Finding("a", "waste", "r301", "waste", NOW - HOUR, amount=35.26, unit="kWh"),
        Finding("b", "leak", "main", "leak", NOW - HOUR, weak="不足以下结论"),
    ]
    async with core(tmp_path) as database:
        assert await news(database, found=found) == "发现 2 项：三〇一 夜间用电 35.3 kWh、main leak"
        many = await news(database, found=found[:1] * 7)
        assert many.startswith("发现 7 项") and many.count("夜间用电") == 5 and many.endswith("……")


async def test_a_store_that_cannot_be_read_leaves_the_word_as_it_is(tmp_path: Path) -> None:
    async with core(tmp_path) as database:

        async def between(since: Millis, until: Millis) -> Sequence[Finding]:
            raise sqlite3.OperationalError("disk I/O error")

        assert await DailyNews(between, database, TITLES).of(NOW) == ""
