"""What rules decided to do, on disk: each decision with its end, what the arbiter remembers, who armed
what. A decision is stored in the transaction of the alarm that caused it, before anything is sent.

    decided -> sending -> confirmed                       the device took it
       |          |-> watching -> effective               its effect was seen
       |          |       `-----> without_effect
       |          |-> failed, unknown, refused            as the command ended
       `-> expired, superseded                            too late, or a newer one came
    proposed -> accepted, rejected, expired

`sending` is committed before the command is submitted; what a crash leaves there may have been
carried out, becomes `unknown` at the next start, and is never repeated.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple, TypeVar

import msgspec

from drivers.reading import Millis, Value
from edge.store.database import Database
from rules.intent import Act, ActKind, Intent, Lever
from rules.plan import Plan

T = TypeVar("T")

SCHEMA: tuple[str, ...] = (
    """CREATE TABLE action(
        id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, intent TEXT NOT NULL,
        wish TEXT NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL, value TEXT NOT NULL,
        restores INTEGER NOT NULL, expires_at INTEGER, state TEXT NOT NULL, detail TEXT NOT NULL,
        person TEXT NOT NULL, command INTEGER, updated_at INTEGER NOT NULL) STRICT""",
    "CREATE INDEX action_open ON action(state) WHERE state IN ('decided', 'sending', 'watching', 'proposed')",
    "CREATE INDEX action_intent ON action(intent)",
    "CREATE TABLE arbitration(name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID, STRICT",
    """CREATE TABLE arming(
        rule TEXT PRIMARY KEY, meaning TEXT NOT NULL, shadow_since INTEGER NOT NULL,
        asked_by TEXT NOT NULL, asked_at INTEGER, armed_by TEXT NOT NULL, armed_at INTEGER,
        reason TEXT NOT NULL) WITHOUT ROWID, STRICT""",
)

ActionState = Literal[
    "advised", "proposed", "accepted", "rejected", "decided", "sending", "confirmed", "watching", "effective",
    "without_effect", "failed", "unknown", "refused", "expired", "superseded", "shadowed", "spared",
    "blocked", "withdrawn", "kept",
]  # fmt: skip
UNFINISHED: tuple[ActionState, ...] = ("decided", "sending", "watching", "proposed")

_FIRST: dict[ActKind, ActionState] = {
    ActKind.ADVISED: "advised",
    ActKind.PROPOSED: "proposed",
    ActKind.ORDERED: "decided",
    ActKind.SHADOWED: "shadowed",
    ActKind.SPARED: "spared",
    ActKind.BLOCKED: "blocked",
    ActKind.REFUSED: "refused",
    ActKind.WITHDRAWN: "withdrawn",
    ActKind.KEPT: "kept",
    ActKind.EXPIRED: "expired",
}


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """One decision and how it stands; `person` is who let it out, or said no, empty where nobody had to.
    `command` is the number of the command that carries it out."""

    id: int
    act: Act
    state: ActionState
    detail: str
    person: str
    command: int | None
    updated_at: Millis


@dataclass(frozen=True, slots=True)
class Arming:
    """How a rule of mode auto stands: `meaning` is what of it was in shadow since, and armed."""

    rule: str
    meaning: str
    shadow_since: Millis
    asked_by: str = ""
    asked_at: Millis | None = None
    armed_by: str = ""
    armed_at: Millis | None = None
    reason: str = ""


class NoProposal(Exception):
    """There is no such proposal, or it is no longer open."""


class NotArmed(Exception):
    """A rule is not armed, or disarmed; `code` is stable: no_auto, in_shadow, reason_missing, armed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Remembered(NamedTuple):
    """What an earlier run left."""

    plans: tuple[Plan, ...]
    levers: tuple[Lever, ...]
    arming: tuple[Arming, ...]


Memory = Mapping[str, Plan | Lever | None]
"""What the arbiter remembers that changed; None is forgotten."""


def add(c: sqlite3.Connection, acts: Sequence[Act], at: Millis) -> None:
    """New decisions, each once; a proposal that expired ends."""
    for act in acts:
        if act.kind is ActKind.EXPIRED:
            c.execute(
                "UPDATE action SET state='expired', detail=?, updated_at=?"
                " WHERE intent=? AND state='proposed'",
                (act.detail, at, act.intent.id),
            )
            continue
        c.execute(
            "INSERT INTO action(key, intent, wish, kind, at, value, restores, expires_at, state, detail,"
            " person, updated_at) VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            (
                act.key, act.intent.id, msgspec.json.encode(asdict(act.intent)).decode(), act.kind, act.at,
                json.dumps(act.value), int(act.restores), act.expires_at, _FIRST[act.kind], act.detail,
                act.intent.person, at,
            ),
        )  # fmt: skip


def remember(c: sqlite3.Connection, memory: Memory) -> None:
    """What the arbiter remembers, as of now."""
    for name, one in memory.items():
        kind = "lever" if isinstance(one, Lever) else "plan"
        if one is None:
            c.execute("DELETE FROM arbitration WHERE name IN (?, ?)", (f"plan:{name}", f"lever:{name}"))
        else:
            text = msgspec.json.encode(asdict(one)).decode()
            c.execute("INSERT OR REPLACE INTO arbitration VALUES(?,?)", (f"{kind}:{name}", text))


def settle(
    c: sqlite3.Connection,
    number: int,
    before: Sequence[ActionState],
    state: ActionState,
    at: Millis,
    detail: str = "",
    command: int | None = None,
) -> bool:
    """Moves a decision on from one of the states `before`; False when it stood elsewhere, and stays."""
    marks = ",".join("?" * len(before))
    changed = c.execute(
        f"UPDATE action SET state=?, detail=?, command=coalesce(?, command), updated_at=?"
        f" WHERE id=? AND state IN ({marks})",
        (state, detail, command, at, number, *before),
    )
    return changed.rowcount == 1


def answer(
    c: sqlite3.Connection, intent: str, state: ActionState, person: str, note: str, at: Millis
) -> None:
    """What a person said to a proposal."""
    c.execute(
        "UPDATE action SET state=?, person=?, detail=?, updated_at=? WHERE intent=? AND state='proposed'",
        (state, person, note, at, intent),
    )


def one(c: sqlite3.Connection, number: int) -> ActionRecord | None:
    """One decision."""
    row = c.execute("SELECT * FROM action WHERE id=?", (number,)).fetchone()
    return _record(row) if row else None


def newest(
    c: sqlite3.Connection, limit: int, before: int | None = None, *, waiting: bool = False
) -> Sequence[ActionRecord]:
    """At most `limit` decisions, newest first, with ids below `before`; only unfinished ones if `waiting`."""
    where = f"AND state IN ({','.join('?' * len(UNFINISHED))})" if waiting else ""
    rows = c.execute(
        f"SELECT * FROM action WHERE id < ? {where} ORDER BY id DESC LIMIT ?",
        (before or 2**62, *(UNFINISHED if waiting else ()), limit),
    ).fetchall()
    return [_record(row) for row in rows]


def asked(c: sqlite3.Connection, since: Millis, limit: int = 1000) -> Sequence[ActionRecord]:
    """What a person was asked, or advised, to do since then, newest first."""
    rows = c.execute(
        "SELECT * FROM action WHERE kind IN (?, ?) AND at >= ? ORDER BY id DESC LIMIT ?",
        (ActKind.PROPOSED, ActKind.ADVISED, since, limit),
    ).fetchall()
    return [_record(row) for row in rows]


def by_key(c: sqlite3.Connection, keys: Sequence[str]) -> Mapping[str, int]:
    """The numbers of decisions."""
    return {
        key: row[0]
        for key in keys
        if (row := c.execute("SELECT id FROM action WHERE key=?", (key,)).fetchone())
    }


def put_arming(c: sqlite3.Connection, arming: Arming) -> None:
    """How a rule stands now."""
    c.execute(
        "INSERT OR REPLACE INTO arming VALUES(?,?,?,?,?,?,?,?)",
        (
            arming.rule, arming.meaning, arming.shadow_since, arming.asked_by, arming.asked_at,
            arming.armed_by, arming.armed_at, arming.reason,
        ),
    )  # fmt: skip


async def remembered(core: Database) -> Remembered:
    """What an earlier run left, for the engine's start."""

    def look(c: sqlite3.Connection) -> Remembered:
        rows = c.execute("SELECT name, state FROM arbitration ORDER BY name").fetchall()
        return Remembered(
            tuple(_decode(text, Plan) for name, text in rows if name.startswith("plan:")),
            tuple(_decode(text, Lever) for name, text in rows if name.startswith("lever:")),
            tuple(Arming(*row) for row in c.execute("SELECT * FROM arming ORDER BY rule")),
        )

    return await core.read(look)


def _decode(text: str, wanted: type[T]) -> T:
    return msgspec.json.decode(text, type=wanted)


def _record(row: sqlite3.Row) -> ActionRecord:
    value: Value = json.loads(row["value"])
    act = Act(
        ActKind(row["kind"]), row["at"], _decode(row["wish"], Intent), value, bool(row["restores"]), "",
        row["expires_at"],
    )  # fmt: skip
    return ActionRecord(
        row["id"], act, row["state"], row["detail"], row["person"], row["command"], row["updated_at"]
    )
