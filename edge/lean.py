"""Libraries that load far more than is used of them, kept small in a process that runs for years.

`lean` goes before their first import. Where a library asks whether another one is installed, it
hears no; where a package imports all of its modules by name, each comes when it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_NAMED = re.compile(r"^from (influxdb_client\.[\w.]+) import (\w+)(?: as (\w+))?", re.MULTILINE)
_PACKAGES = ("influxdb_client", "influxdb_client.domain", "influxdb_client.service", "influxdb_client.client")
_UVICORN = {
    "Config": ("uvicorn.config", "Config"),
    "Server": ("uvicorn.server", "Server"),
    "main": ("uvicorn.main", "main"),
    "run": ("uvicorn.main", "run"),
}


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


UNASKED = {
    "numpy": "influxdb-client's tables; 25 MB, which edge/store/helper.py keeps in a process of its own",
    "httpx._main": "httpx's command line, and with it rich and pygments; 6 MB",
    "pydantic.v1": "the former pydantic, for which fastapi looks at each annotation; 2 MB",
}
"""Modules that libraries try to import and do without: what they are for, and what they would cost."""


def lean() -> None:
    """All of it; to be called before anything of the gateway is imported but this."""
    for name in UNASKED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # as if it were not installed
    # Else pydantic reads what each installed package says of itself, in search of plugins: 30 ms.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    lean_uvicorn()
    lean_influxdb_client()


def lean_uvicorn() -> None:
    """Makes uvicorn import its server without its command line (click) and its process managers
    (multiprocessing): 2 MB. Nothing where it is loaded already or not installed."""
    spec = None if "uvicorn" in sys.modules else importlib.util.find_spec("uvicorn")
    if spec is not None:
        sys.modules["uvicorn"] = _Lazy(spec, _UVICORN)


def lean_influxdb_client() -> None:
    """Makes influxdb-client import what is asked of it, no more, of 360 generated modules: 9 MB, and a
    fifth of a second. Nothing where it is loaded already, not installed, or not made of named imports."""
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
