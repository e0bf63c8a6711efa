"""Which keys a settings model allows at a place: for the message about an unknown key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag

from edge.config.spots import KeyPath


def allowed_keys(model: Any, loc: KeyPath) -> list[str]:
    """The keys at a pydantic location (names of union members included), in the models' order."""
    types = [model]
    for step in loc:
        types = [below for kind in types for below in _below(kind, step)]
    keys = (
        _key(name, field) for kind in types for member in _members(kind) for name, field in _fields(member)
    )
    return list(dict.fromkeys(keys))


def _key(name: str, field: Any) -> str:
    return str(field.alias or name)


def _fields(kind: Any) -> list[tuple[str, Any]]:
    return list(kind.model_fields.items()) if _is_model(kind) else []


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _members(kind: Any) -> Iterator[Any]:
    """A type without its annotations, a union taken apart."""
    if get_origin(kind) is Annotated:
        yield from _members(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for member in get_args(kind):
            yield from _members(member)
    else:
        yield kind


def _below(kind: Any, step: str | int) -> Iterator[Any]:
    """The types one step below: of a field, an item, a value, or of the union member so named."""
    tagged = [member for member in _tagged_members(kind) if step in _tags(member)]
    if tagged:
        yield from tagged
        return
    for member in _members(kind):
        if _is_model(member):
            for name, field in _fields(member):
                if _key(name, field) == step:
                    yield (
                        Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
                    )
            continue
        origin, arguments = get_origin(member), get_args(member)
        if not isinstance(origin, type) or not arguments:
            continue
        if issubclass(origin, Mapping) and len(arguments) == 2:
            yield arguments[1]
        elif issubclass(origin, Sequence | Set) and isinstance(step, int):
            yield arguments[0]


def _tagged_members(kind: Any) -> Iterator[Any]:
    """The members of a union with their own annotations kept."""
    if get_origin(kind) is Annotated and get_origin(get_args(kind)[0]) in (Union, UnionType):
        yield from _tagged_members(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        yield from get_args(kind)


def _tags(member: Any) -> set[str]:
    """The names under which pydantic lists a union member."""
    tags = {note.tag for note in getattr(member, "__metadata__", ()) if isinstance(note, Tag)}
    for kind in _members(member):
        for _, field in _fields(kind):
            if get_origin(field.annotation) is Literal:
                tags |= {value for value in get_args(field.annotation) if isinstance(value, str)}
        if isinstance(kind, type):
            tags.add(kind.__name__)
    return tags
