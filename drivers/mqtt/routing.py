"""Which devices a topic belongs to: exact topics by dict, wildcards by matching once."""

from __future__ import annotations

from typing import Generic, TypeVar

_REMEMBERED = 8192
T = TypeVar("T")


def is_name(topic: str) -> bool:
    """Whether a message may come on it: no wildcard, no NUL (MQTT 3.1.1, section 4.7.1 and 4.7.3)."""
    return not any(sign in topic for sign in "+#\0")


def matches(topic_filter: str, topic: str) -> bool:
    """MQTT matching for filters without `#`: + stands for exactly one level."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    return len(wanted) == len(levels) and all(w in ("+", t) for w, t in zip(wanted, levels, strict=True))


class Routes(Generic[T]):
    """Topic filters and what they lead to."""

    def __init__(self) -> None:
        self._exact: dict[str, list[T]] = {}
        self._wild: list[tuple[str, T]] = []
        self._found: dict[str, tuple[T, ...]] = {}

    def add(self, topic_filter: str, target: T) -> None:
        """Leads a filter to one more target."""
        if "+" in topic_filter.split("/"):
            self._wild.append((topic_filter, target))
        else:
            self._exact.setdefault(topic_filter, []).append(target)
        self._found.clear()

    def find(self, topic: str) -> tuple[T, ...]:
        """All targets of a topic; empty when none. What was found is remembered."""
        known = self._found.get(topic)
        if known is None:
            wild = [target for wanted, target in self._wild if matches(wanted, topic)]
            known = (*self._exact.get(topic, ()), *wild) if is_name(topic) else ()
            if len(self._found) >= _REMEMBERED:  # a broker may invent topics for ever
                self._found.clear()
            self._found[topic] = known
        return known

    def behind(self, topic_filter: str) -> tuple[T, ...]:
        """The targets of a filter itself, as it was added."""
        wild = [target for wanted, target in self._wild if wanted == topic_filter]
        return (*self._exact.get(topic_filter, ()), *wild)

    def filters(self) -> tuple[str, ...]:
        """Every filter once, to subscribe to."""
        return tuple(dict.fromkeys([*self._exact, *(wanted for wanted, _ in self._wild)]))
