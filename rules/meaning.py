"""What a rule means where it is watched: its parameters there, and hashes that change when it does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from rules.binding import Instance
from rules.rulebook import Rule
from rules.site import SiteInfo


def parameters(rule: Rule, instance: Instance, site: SiteInfo) -> dict[str, float]:
    """The rule's parameters for one instance: the override of its space, else of the nearest space
    around it, else the default."""
    chain = tuple(site.chain(instance.space)) if instance.space else (site.id,)
    return {
        name: next((param.overrides[space] for space in chain if space in param.overrides), param.default)
        for name, param in rule.params.items()
    }


def semantic_hash(rule: Rule, params: Mapping[str, float]) -> str:
    """What a rule watches, in 16 hex digits: scope, condition, timing and parameters."""
    return _hash(rule.core + _as_text(params))


def meaning_of(rule: Rule, params: Mapping[str, float]) -> str:
    """What a rule does and when, in 16 hex digits: condition, timing, parameters, actions, interlocks."""
    return _hash("\n".join((rule.core, rule.deeds, _as_text(params))))


def _as_text(params: Mapping[str, float]) -> str:
    return json.dumps(dict(params), sort_keys=True)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
