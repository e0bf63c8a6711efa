"""Libraries that load far more than is used of them, kept small in a process that runs for years.

influxdb-client's packages import each of their 360 generated modules by name, of which a writer
needs a dozen: 9 MB, and a fifth of a second right after the start.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_NAMED = re.compile(r"^from (influxdb_client\.[\w.]+) import (\w+)(?: as (\w+))?", re.MULTILINE)
_PACKAGES = ("influxdb_client", "influxdb_client.domain", "influxdb_client.service", "influxdb_client.client")


class _Lazy(ModuleType):
    """A package whose names are imported when they are first asked for."""

    def __init__(self, spec: ModuleSpec, where: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec
        self.__file__ = spec.origin
        self.__loader__ = spec.loader
        self.__path__ = list(spec.submodule_search_locations or ())
        self._where = where

    def __getattr__(self, name: str) -> Any:
        try:
            module, origin = self._where[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None
        found = getattr(importlib.import_module(module), origin)
        setattr(self, name, found)
        return found


def lean_httpx() -> None:
    """Leaves out httpx's command line, and with it rich and pygments: 6 MB."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # as if it were not installed


def lean_influxdb_client() -> None:
    """Makes influxdb-client import what is asked of it, no more; nothing where it is loaded already,
    not installed, or not made of named imports."""
    if "influxdb_client" in sys.modules:
        return
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        source = None if spec is None or spec.origin is None else Path(spec.origin)
        if spec is None or source is None or source.suffix != ".py":
            return
        where = {
            alias or origin: (module, origin) for module, origin, alias in _NAMED.findall(source.read_text())
        }
        package = sys.modules[name] = _Lazy(spec, where)
        above, _, child = name.rpartition(".")
        if above:
            setattr(sys.modules[above], child, package)
