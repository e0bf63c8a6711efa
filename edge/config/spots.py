"""The data of a file beside the place of every key and value in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.config.fault import Fault, Place, fault
from edge.config.scalars import Scalar

Data = Scalar | list["Data"] | dict[str, "Data"]
Step = str | int
KeyPath = tuple[Step, ...]


@dataclass(slots=True)
class Spot:
    """Where one node stands: `step` is its key or index in its own file, `key` and
    `value` are the places of its key (of itself in a list) and of its value.

    `bad` marks a node whose form is already reported, so that nobody reports it again.
    """

    step: Step
    key: Place
    value: Place
    bad: bool = False
    entries: dict[str, Spot] = field(default_factory=dict)
    items: list[Spot] = field(default_factory=list)

    def child(self, step: Step) -> Spot | None:
        """The node below at a key or an index, None when there is none."""
        if isinstance(step, str):
            return self.entries.get(step)
        return self.items[step] if 0 <= step < len(self.items) else None


@dataclass(slots=True)
class Document:
    """The data of one file (or of a file with its includes) and where each node stands."""

    data: dict[str, Data]
    root: Spot
    faults: list[Fault] = field(default_factory=list)

    def spots(self, path: KeyPath) -> list[Spot]:
        """The nodes along a path from the root, as far as it exists."""
        found = [self.root]
        for step in path:
            below = found[-1].child(step)
            if below is None:
                break
            found.append(below)
        return found

    def file(self, path: KeyPath) -> str:
        """The file in which the node at a path stands."""
        return self.spots(path)[-1].value.file

    def is_bad(self, path: KeyPath) -> bool:
        """True when the node at the path, or one above it, was already reported."""
        return any(spot.bad for spot in self.spots(path))

    def fault(self, path: KeyPath, message: str, *, key: bool = False) -> Fault:
        """A fault at the value (or the key) of a path; where the path leads beyond what
        stands in the file, at the nearest node above. The path is spelled with the
        indexes of the file that the node stands in."""
        spots = self.spots(path)
        whole = len(spots) == len(path) + 1
        place = spots[-1].key if key and whole else spots[-1].value
        steps = [*(spot.step for spot in spots[1:]), *path[len(spots) - 1 :]]
        return fault(place, ".".join(str(step) for step in steps), message)
