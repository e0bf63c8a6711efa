"""Questions to the file system that never fail: what cannot be looked at is not there."""

from __future__ import annotations

from pathlib import Path, PurePosixPath


def inside(text: str) -> str | None:
    """Why a relative file name or pattern is not usable, None when it is."""
    pure = PurePosixPath(text)
    if not text or pure.is_absolute() or ".." in pure.parts or "\\" in text:
        return "expected a file name relative to this file, inside its folder, with / between folders"
    return None


def is_file(path: Path) -> bool:
    """True for a file that can be seen; a name too long or a locked folder is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """True for a folder that can be seen."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def identity(path: Path) -> Path:
    """One path for one file, however it is spelled; a circle of symbolic links stays as it is."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def matches(folder: Path, pattern: str) -> list[Path]:
    """The files that a pattern finds, sorted; none for a pattern that makes no sense."""
    try:
        return sorted(path for path in folder.glob(pattern) if is_file(path))
    except (OSError, ValueError, NotImplementedError):
        return []
