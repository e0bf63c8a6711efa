"""The console script: the gateway itself goes a way that loads nothing of the terminal's."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs what the command line asks for."""
    if sys.argv[1:2] == ["run"]:
        from edge.service import main as serve

        sys.exit(serve(sys.argv[2:]))
    from edge.cli import main as command

    command()
