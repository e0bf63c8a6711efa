"""Checks a document against a settings model and says in plain words what does not fit.

Validation is strict: `"5"` is no number and `5` is no text. It runs on JSON, where
pydantic's strict mode still reads lists as tuples and texts as enums.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from edge.config.fault import Fault, suggestion
from edge.config.fields import allowed_keys
from edge.config.spots import Document, KeyPath

T = TypeVar("T")


class Checker(Generic[T]):
    """One file kind: its model, compiled once."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._adapter: TypeAdapter[T] = TypeAdapter(model)

    def check(self, document: Document) -> tuple[T | None, list[Fault]]:
        """The settings (None when anything is wrong) and the faults, those of form included."""
        faults = list(document.faults)
        try:
            value = self._adapter.validate_json(json.dumps(document.data), strict=True)
        except ValidationError as error:
            return None, faults + self._translate(error, document)
        return (None, faults) if faults else (value, [])

    def _translate(self, error: ValidationError, document: Document) -> list[Fault]:
        merged: dict[KeyPath, tuple[bool, list[str]]] = {}
        for detail in error.errors(include_url=False):
            loc = tuple(detail["loc"])
            path = real_path(loc, document.data, missing=detail["type"] == "missing")
            if document.is_bad(path):
                continue
            if detail["type"].startswith("union_tag"):
                path += (str(detail.get("ctx", {}).get("discriminator", "")).strip("'"),)
            elif detail["type"] == "line_url":
                path += ("url",)
            elif detail["type"] == "destination_kind":
                path += ("kind",)
            message = self._message(detail, loc, path)
            at_key = detail["type"] == "extra_forbidden" or (loc[-1:] == ("[key]",))
            messages = merged.setdefault(path, (at_key, []))[1]
            if message not in messages:
                messages.append(message)
        return [
            document.fault(path, " or ".join(messages), key=at_key)
            for path, (at_key, messages) in merged.items()
        ]

    def _message(self, detail: Any, loc: KeyPath, path: KeyPath) -> str:
        if detail["type"] == "extra_forbidden":
            word = str(path[-1])
            return f"unknown key {word}{suggestion(word, allowed_keys(self._model, loc[:-1]))}"
        if detail["type"] == "missing":
            return "is required"
        words = _WORDS.get(detail["type"])
        context: Mapping[str, Any] = detail.get("ctx") or {}
        return words(detail["input"], context) if words else _plain(detail["msg"])


def real_path(loc: KeyPath, data: Any, *, missing: bool = False) -> KeyPath:
    """A pydantic location without the names of union members, which the data does not hold;
    of a `missing` key the last step leads out of the data and stays."""
    path: list[str | int] = []
    node = data
    for step in loc:
        below = _child(node, step)
        if below is not _NOTHING:
            node = below
            path.append(step)
    if missing and loc:
        path.append(loc[-1])
    return tuple(path)


_NOTHING = object()


def _child(node: Any, step: str | int) -> Any:
    if isinstance(node, dict):
        return node.get(step, _NOTHING)
    if isinstance(node, list) and isinstance(step, int) and step < len(node):
        return node[step]
    return _NOTHING


def _plain(message: str) -> str:
    message = message.removeprefix("Value error, ").replace("Input should be ", "expected ", 1)
    return message[:1].lower() + message[1:]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _expected(what: str, hint: str = "") -> Callable[[Any, Mapping[str, Any]], str]:
    def words(value: Any, _: Mapping[str, Any]) -> str:
        if value is None:
            return f"expected {what}, but nothing stands here"
        wide = " (a full-width '\uff1a' is no punctuation to YAML)" if "\uff1a" in _shown(value) else ""
        return f"expected {what}, got {_shown(value)}{wide}{hint if isinstance(value, str) else ''}"

    return words


def _text(value: Any, _: Mapping[str, Any]) -> str:
    if isinstance(value, int | float):
        return f"expected text, got {_shown(value)}: quote it"
    return _expected("text")(value, {})


def _mapping(value: Any, context: Mapping[str, Any]) -> str:
    if context.get("class_name") == "SecretRef":  # what stands here may be the secret: do not repeat it
        return "expected {secret: NAME}: a secret never stands in the configuration itself"
    return _expected("a mapping {key: value}")(value, context)


def _choice(value: Any, context: Mapping[str, Any]) -> str:
    expected = str(context.get("expected", context.get("expected_tags", "")))
    names = [part.strip(" '\"") for part in expected.replace(" or ", ", ").split(",")]
    given = context.get("tag", value)
    if isinstance(given, str) and given in names:  # "1" for 1
        return f"expected {expected}, got {_shown(given)}: write it plain, without quotes"
    wrong = f"{_shown(given)} is not allowed"
    return f"{wrong}{suggestion(given, names)}" if isinstance(given, str) else f"{wrong}; expected {expected}"


def _pattern(value: Any, context: Mapping[str, Any]) -> str:
    pattern = str(context["pattern"])
    if pattern == _HIDDEN_PATTERN:  # what stands here may be the secret: do not repeat it
        return "the name of a secret is made of letters, digits, '.', '_' and '-' (at most 64)"
    known = _PATTERNS.get(pattern, f"expected text of the form {pattern}")
    return f"{_shown(value)}: {known}"


def _limit(sign: str) -> Callable[[Any, Mapping[str, Any]], str]:
    def words(value: Any, context: Mapping[str, Any]) -> str:
        bound = next((context[name] for name in ("ge", "gt", "le", "lt") if name in context), "")
        return f"{_shown(value)} is out of range: it must be {sign} {bound}"

    return words


_HIDDEN_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]{0,62}$": "an id is made of small letters, digits, - and _ (at most 63)",
    r"^[a-z][a-z0-9_]{0,47}$": "a name is made of small letters, digits and _ and begins with a letter",
    r"^(?!9{12}$)[0-9]{12}$": 'a meter address is the 12 digits on its nameplate, quoted ("000012345678")',
}
_WORDS: dict[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "string_type": _text,
    "int_type": _expected("a whole number", ": write it plain, without quotes"),
    "int_from_float": _expected("a whole number"),
    "float_type": _expected("a number", ": write it plain, without quotes, such as 0.5"),
    "bool_type": _expected("true or false", ": write it plain, without quotes"),
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "dict_type": _expected("a mapping {key: value}"),
    "tuple_type": _expected("a list [...]"),
    "list_type": _expected("a list [...]"),
    "set_type": _expected("a list [...]"),
    "frozen_set_type": _expected("a list [...]"),
    "literal_error": _choice,
    "enum": _choice,
    "union_tag_invalid": _choice,
    "union_tag_not_found": lambda _value, _context: "is required",
    "string_pattern_mismatch": _pattern,
    "greater_than": _limit("above"),
    "greater_than_equal": _limit("at least"),
    "less_than": _limit("below"),
    "less_than_equal": _limit("at most"),
}
"""What pydantic found, and our words for it, given the value and pydantic's context."""


def limit(faults: Iterable[Fault], most: int = 200) -> list[Fault]:
    """The faults without repetitions, each file's in its order, cut where nobody reads on."""
    once = list(dict.fromkeys(faults))
    files = {name: rank for rank, name in enumerate(dict.fromkeys(found.file for found in once))}
    ordered = sorted(once, key=lambda found: (files[found.file], found.line, found.column))
    if len(ordered) <= most:
        return ordered
    last = ordered[most - 1]
    more = Fault(last.file, last.line, last.column, "", f"and {len(ordered) - most} more faults")
    return [*ordered[:most], more]
