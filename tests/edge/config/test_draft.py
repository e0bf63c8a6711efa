"""Whatever stands in a configuration of good form is told with a place, in words that are ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config.documents import parse
from edge.config.draft import draft
from edge.config.spots import KeyPath
from tests.edge.config.support import SCHOOL

_MORE = """\
store: {keep_raw: 40d, max_bytes: 1GB}
sync: [{id: d, url: "http://127.0.0.1", org: o, bucket: b, token: {secret: t}}]
notify: {desk: [{wecom: {key: {secret: t}}}, {webhook: {url: "http://127.0.0.1"}, priorities: [1]}]}
web: {listen: "127.0.0.1:1", tls: off_}
"""
BASE: dict[str, Any] = parse(SCHOOL + _MORE.replace("off_", '"off"'), "f").data
_SCALARS: list[Any] = [None, True, -1, 3.5, 10**20, -1e300, "", "x", "on", "9" * 12, "../x", ":", "n" * 300]
_URLS: list[Any] = ["serial:", "tcp://[", "mqtt://h"]
_NESTED: list[Any] = [[], {}, [None], [[]], {"a": 1}, {"secret": 1}, {"url": 1}, {"protocol": "mqtt"}]
_STRANGE: st.SearchStrategy[Any] = st.sampled_from([*_SCALARS, *_URLS, *_NESTED])


def _paths(node: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    steps: list[str | int] = []
    if isinstance(node, dict):
        steps = list(node)
    elif isinstance(node, list):
        steps = list(range(len(node)))
    for step in steps:
        yield (*path, step)
        yield from _paths(node[step], (*path, step))


def _faults(data: dict[str, Any]) -> list[str]:
    _, faults = draft(parse(json.dumps(data, ensure_ascii=False), "f"))
    return [str(fault) for fault in faults]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(_paths(BASE))), _STRANGE, st.sampled_from(["replace", "remove", "add"]))
def test_any_value_anywhere_is_valid_or_told(path: KeyPath, value: Any, change: str) -> None:
    data = copy.deepcopy(BASE)
    node: Any = data
    for step in path[:-1]:
        node = node[step]
    if change == "replace":
        node[path[-1]] = value
    elif change == "remove":
        del node[path[-1]]
    elif isinstance(node, list):
        node.append(value)
    else:
        node["extra"] = value
    for fault in _faults(data):
        assert fault.startswith("f:1:")
        assert "Input" not in fault
        assert "function-" not in fault


def test_the_unchanged_school_has_no_fault() -> None:
    assert _faults(BASE) == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("version",), "1", 'version: expected 1, got "1": write it plain'),
        (("site", "latitude"), "34.5", 'site.latitude: expected a number, got "34.5": write it plain'),
        (("site", "latitude"), 134.5, "site.latitude: 134.5 is out of range: it must be at most 90"),
        (("site", "timezone"), "Beijing", "site.timezone: expected an IANA time zone such as Asia/Shanghai"),
        (("site", "id"), "Shang De", 'site.id: "Shang De": an id is made of small letters, digits, - and _'),
        (("spaces",), {}, "spaces: expected a list [...], got {}"),
        (("spaces", 0), "b1", 'spaces.0: expected a mapping {key: value}, got "b1"'),
        (("spaces", 2, "tags", "facing"), [1], "spaces.2.tags.facing: expected"),
        (("spaces", 2, "seats"), 1.5, "spaces.2.seats: expected a whole number, got 1.5"),
        (("lines", 0, "url"), "ttyUSB0", "lines.0.url: expected url: serial:/dev/..."),
        (("lines", 0, "framing"), "8N3", 'lines.0.framing: "8N3" is not allowed; did you mean 8N2 or 8N1?'),
        (("lines", 0, "baudrate"), 50, "lines.0.baudrate: 50 is out of range: it must be at least 300"),
        (
            ("lines", 0, "parity"),
            "N",
            "lines.0.parity: unknown key parity; known: baudrate, framing, gap, id",
        ),
        (
            ("lines", 1, "qos"),
            1,
            "lines.1.qos: unknown key qos; known: ca, client_id, id, max_payload, password",
        ),
        (
            ("devices", 0, "every"),
            30,
            "devices.0.every: expected a duration such as 500ms, 30s, 5m, 2h or 7d",
        ),
        (
            ("devices", 0, "protocol"),
            "modbus",
            'devices.0.protocol: "modbus" is not allowed; did you mean modbus-',
        ),
        (("store", "max_bytes"), 8, "store.max_bytes: expected a size such as 500MB or 8GB"),
        (("sync", 0, "token"), "hush", "sync.0.token: expected {secret: NAME}: a secret never stands in"),
        (
            ("sync", 0, "token"),
            {"secret": "hush/hush=="},
            "sync.0.token.secret: the name of a secret is made of",
        ),
        (("notify", "desk", 0), {"pager": {}}, "notify.desk.0.pager: unknown key pager; known: "),
        (("notify", "The Desk"), [], 'notify.The Desk: "The Desk": an id is made of small letters'),
        (("web", "tls"), "on", 'web.tls: "on" is not allowed; known: auto, off'),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(path: KeyPath, value: Any, message: str) -> None:
    data = copy.deepcopy(BASE)
    node: Any = data
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    faults = _faults(data)
    assert any(message in fault for fault in faults), faults
    assert len(faults) == 1, faults
    assert "hush" not in faults[0]


def test_the_framing_of_meters_needs_no_quotes() -> None:
    document = parse(SCHOOL.replace("framing: 8N1", "framing: 8E1"), "f")
    found, faults = draft(document)
    assert faults == []
    assert found is not None
    assert found.settings.lines[0].id == "bus-a"
