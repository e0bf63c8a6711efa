"""The copy of what ran last: exactly what was read, no secret, whole at every instant."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config.load import ConfigError, load
from edge.last_good import FOLDER, fall_back, keep
from tests.support.gateway import Gateway

PROFILE = {
    "maker": "test", "model": "room", "kind": "classroom_env", "source": "made for the tests",
    "family": "mqtt", "points": {"co2": {"pointer": "/co2"}},
}  # fmt: skip
EXTRA = 'notify: {"desk": [{webhook: {url: "http://127.0.0.1:9/", secret: {secret: hook}}}]}\n'
BROKEN = "version: 1\nsiet: {}\n"
CHANGES = frozenset(("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink"))


@pytest.fixture
def school(tmp_path: Path) -> Gateway:
    """A configuration with an include, a profile and a secret, and an empty data folder."""
    config = {
        "site": {"id": "test", "name": "甲", "district": "linwei", "latitude": 34.5, "longitude": 109.5},
        "spaces": [{"id": "r1", "name": "一〇一", "kind": "classroom"}],
        "lines": [{"id": "broker", "url": "mqtt://127.0.0.1:1"}],
        "devices": [{"id": "env-1", "space": "r1", "line": "broker", "protocol": "mqtt", "profile": "room",
                     "topic": "room/1"}],
        "include": ["more/desks.yaml"],
    }  # fmt: skip
    made = Gateway(
        tmp_path / "school", config, secrets={"hook": "canary-s3cret"},
        profiles={"room": PROFILE, "idle": PROFILE}, rules={"rules": []},
    )  # fmt: skip
    (made.config.parent / "more").mkdir()
    (made.config.parent / "more" / "desks.yaml").write_text(EXTRA, encoding="utf-8")
    made.data.mkdir()
    return made


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _edit(school: Gateway, old: str, new: str) -> None:
    school.config.write_text(school.config.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def _name(school: Gateway, data: Path | None = None) -> str:
    found = fall_back(school.config, data or school.data, ())
    assert found is not None
    return found.settings.site.name


def test_the_copy_is_what_was_read_and_no_secret(school: Gateway) -> None:
    keep(load(school.config), school.data)
    copy = school.data / FOLDER
    read = {"school.yaml", "more/desks.yaml", "rules.yaml", "profiles/room.yaml"}
    assert _files(copy) == {name: (school.config.parent / name).read_bytes() for name in read}
    for path in copy.rglob("*"):
        assert path.is_symlink() or path.stat().st_mode & 0o077 == 0
    assert [path.name for path in copy.iterdir() if path.is_symlink()] == ["secrets"]
    assert sorted(path.name for path in school.data.iterdir()) == [FOLDER]


def test_a_faulty_file_falls_back_on_the_copy_with_the_secrets_beside_the_original(school: Gateway) -> None:
    keep(load(school.config), school.data)
    school.config.write_text(BROKEN)
    with pytest.raises(ConfigError) as refused:
        load(school.config)
    found = fall_back(school.config, school.data, refused.value.faults)
    assert found is not None
    assert (found.stands_in_for, found.settings.site.name) == (refused.value.faults, "甲")
    (school.config.parent / "secrets" / "hook").unlink()
    assert fall_back(school.config, school.data, refused.value.faults) is None


def test_there_is_nothing_to_fall_back_on_at_a_first_start_or_for_another_file(school: Gateway) -> None:
    assert fall_back(school.config, school.data, ()) is None
    keep(load(school.config), school.data)
    assert fall_back(school.config.with_name("other.yaml"), school.data, ()) is None
    assert fall_back(school.config.parent / "more" / school.config.name, school.data, ()) is None


def test_it_is_written_only_when_it_differs_and_never_from_itself(school: Gateway) -> None:
    keep(load(school.config), school.data)
    first = (school.data / FOLDER).stat().st_ino
    keep(load(school.config), school.data)
    copy = fall_back(school.config, school.data, load_faults(school))
    assert copy is not None
    keep(copy, school.data)
    assert (school.data / FOLDER).stat().st_ino == first
    _edit(school, "甲", "乙")
    keep(load(school.config), school.data)
    assert _name(school) == "乙"
    assert (school.data / FOLDER).stat().st_ino != first


def load_faults(school: Gateway) -> Any:
    """The faults of a broken file, which is put back."""
    good = school.config.read_bytes()
    school.config.write_text(BROKEN)
    try:
        load(school.config)
    except ConfigError as error:
        return error.faults
    finally:
        school.config.write_bytes(good)


def test_what_was_edited_after_it_was_read_is_not_taken_for_good(
    school: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    running = load(school.config)
    keep(running, school.data)
    _edit(school, "甲", "乙")
    keep(running, school.data)
    assert _name(school) == "甲"
    assert "has changed since it was read" in caplog.text


def test_a_profile_folder_elsewhere_cannot_be_kept_and_is_told(
    school: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.move(school.config.parent / "profiles", school.config.parent.parent / "profiles")
    _edit(school, '"profiles": ["profiles"]', '"profiles": ["../profiles"]')
    keep(load(school.config), school.data)
    assert not (school.data / FOLDER).exists()
    assert "lies outside of" in caplog.text


def test_a_kill_at_any_step_leaves_the_old_copy_or_the_new_one_whole(school: Gateway, tmp_path: Path) -> None:
    keep(load(school.config), school.data)
    _edit(school, "甲", "乙")
    changed = load(school.config)
    whole = {**_files(school.data / FOLDER), "school.yaml": school.config.read_bytes()}
    names, step = [], 0
    while True:
        data = tmp_path / f"cut-{step}"
        shutil.copytree(school.data, data, symlinks=True)
        finished = _dies_before(step, lambda at=data: keep(changed, at))  # type: ignore[misc]
        names.append(_name(school, data))
        keep(changed, data)  # the next start tidies up
        assert [path.name for path in data.iterdir()] == [FOLDER]
        assert _files(data / FOLDER) == whole
        if finished:
            break
        step += 1
    assert step > 20, names
    assert names == sorted(names, key="甲乙".index)
    assert set(names) == {"甲", "乙"}


def _dies_before(step: int, work: Callable[[], None]) -> bool:
    """Does the work in a process of its own that ends before its n-th change of the file system; True
    when the work makes fewer."""
    child = os.fork()
    if child == 0:
        left = step

        def watch(event: str, facts: tuple[Any, ...]) -> None:
            nonlocal left
            if event in CHANGES or (event == "open" and facts[2] & os.O_WRONLY):
                if left == 0:
                    os._exit(1)
                left -= 1

        sys.addaudithook(watch)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
