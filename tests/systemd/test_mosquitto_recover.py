"""A spoilt persistence file of the broker is moved aside before its start; a good one is left alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto, program

FOLDER = Path(__file__).parents[2] / "systemd"
SCRIPT = FOLDER / "mosquitto-recover"
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "filled with NUL": lambda data: bytes(len(data)),
    "cut within the header": lambda data: data[:10],
    "cut within a record": lambda data: data[:-1],
    "another file": lambda data: b"SQLite format 3\0" + data[16:],
    "the first page zeroed": lambda data: bytes(64) + data[64:],
}


def _recover(file: Path, **environment: str) -> str:
    """Runs the script as the unit does; what it says."""
    done = subprocess.run(
        [SCRIPT, file], capture_output=True, text=True, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MOSQUITTO": program("mosquitto"), **environment},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr


def _retained(broker: Mosquitto) -> list[str]:
    """The retained messages, by topic."""
    done = subprocess.run(
        [program("mosquitto_sub"), "-p", str(broker.port), "-t", "school/#", "-v", "--retained-only",
         "-W", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return sorted(done.stdout.splitlines())


@pytest.fixture
def broker(tmp_path: Path) -> Mosquitto:
    """A broker that has kept two retained messages, and is stopped."""
    made = Mosquitto(tmp_path)
    made.start()
    for room in (1, 2):
        made.publish(f"school/{room}", f"retained {room}", retain=True)
    made.stop()
    return made


def _aside(folder: Path) -> list[Path]:
    return sorted(folder.glob("mosquitto.db.corrupt-*"))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_broker_that_cannot_start_starts_after_the_script(broker: Mosquitto, damage: str) -> None:
    file = broker.folder / "mosquitto.db"
    spoilt = DAMAGE[damage](file.read_bytes())
    file.write_bytes(spoilt)
    with pytest.raises(RuntimeError, match="open database"):
        broker.start()
    assert "mosquitto cannot read it" in _recover(file)
    (aside,) = _aside(broker.folder)
    assert re.fullmatch(r"mosquitto\.db\.corrupt-\d{8}T\d{6}Z", aside.name)
    assert (aside.read_bytes(), file.exists()) == (spoilt, False)
    with broker:
        broker.publish("school/3", "retained 3", retain=True)
        assert _retained(broker) == ["school/3 retained 3"]


def test_a_good_file_is_left_alone_and_its_messages_survive(broker: Mosquitto) -> None:
    file = broker.folder / "mosquitto.db"
    before = (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino)
    assert _recover(file) == ""
    assert (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino) == before
    with broker:
        assert _retained(broker) == ["school/1 retained 1", "school/2 retained 2"]


def test_no_file_and_an_empty_one_are_a_first_start(broker: Mosquitto) -> None:
    file = broker.folder / "mosquitto.db"
    file.write_bytes(b"")
    assert _recover(file) == ""
    file.unlink()
    assert _recover(file) == ""
    assert _aside(broker.folder) == []


def test_three_damaged_files_are_kept_and_the_oldest_goes(broker: Mosquitto) -> None:
    file = broker.folder / "mosquitto.db"
    for hour in range(3):
        (broker.folder / f"mosquitto.db.corrupt-20200101T0{hour}0000Z").touch()
    file.write_bytes(bytes(100))
    _recover(file)
    names = [path.name for path in _aside(broker.folder)]
    assert (len(names), names[0]) == (3, "mosquitto.db.corrupt-20200101T010000Z")


def test_where_mosquitto_cannot_be_asked_the_file_stays(broker: Mosquitto, tmp_path: Path) -> None:
    file = broker.folder / "mosquitto.db"
    file.write_bytes(bytes(100))
    for judge in ("/nonexistent", "/bin/false", "/bin/true"):
        assert _recover(file, MOSQUITTO=judge) == ""
    assert file.read_bytes() == bytes(100)


def test_a_file_that_kills_mosquitto_is_moved_aside(broker: Mosquitto, tmp_path: Path) -> None:
    dying = tmp_path / "dying"
    dying.write_text("#!/bin/sh\nkill -SEGV $$\n")
    dying.chmod(0o755)
    assert "mosquitto dies of it (139)" in _recover(broker.folder / "mosquitto.db", MOSQUITTO=str(dying))
    assert len(_aside(broker.folder)) == 1


def test_the_trial_leaves_nothing_behind(broker: Mosquitto, tmp_path: Path) -> None:
    trials = tmp_path / "trials"
    trials.mkdir()
    trials.chmod(0o711)
    file = broker.folder / "mosquitto.db"
    _recover(file, TMPDIR=str(trials))
    file.write_bytes(bytes(100))
    _recover(file, TMPDIR=str(trials))
    assert list(trials.iterdir()) == []


def test_systemd_finds_nothing_to_say_about_the_drop_in(tmp_path: Path) -> None:
    installed = "/usr/local/lib/campus-edge/mosquitto-recover"
    unit = tmp_path / "mosquitto.service"
    unit.write_text(f"[Service]\nType=notify\nExecStart={program('mosquitto')} -v\n")
    (tmp_path / "mosquitto.service.d").mkdir()
    drop_in = (FOLDER / "mosquitto-recover.conf").read_text(encoding="utf-8")
    assert drop_in.count(installed) == 1
    target = tmp_path / "mosquitto.service.d" / "campus-edge.conf"
    target.write_text(drop_in.replace(installed, str(shutil.copy(SCRIPT, tmp_path))))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    target.write_text(drop_in.replace(f"-+{installed}", "/nonexistent/recover"))  # it does read the drop-in
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert "/nonexistent/recover" in done.stderr


def test_the_install_guide_names_the_files_as_they_are() -> None:
    guide = (FOLDER.parent / "docs" / "install.md").read_text(encoding="utf-8")
    for name in ("systemd/mosquitto-recover ", "systemd/mosquitto-recover.conf"):
        assert name in guide
    assert "/usr/local/lib/campus-edge/mosquitto-recover" in guide
    assert SCRIPT.stat().st_mode & 0o111
