"""Finds the files that come with the gateway: vocabulary, profiles, rules."""

from __future__ import annotations

from pathlib import Path


def builtin_configs() -> Path:
    """The built-in configs folder: `edge/configs` of an installed package, else the checkout's `configs`."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"
