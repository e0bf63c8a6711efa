"""Replies that a device still owes: after a timeout the old answer may come when something else is asked.

Most protocols name the question in the answer, so that a late one is known. A Modbus RTU or
ASCII reply names only unit and function: with another question of the same length under
way, the late value would be taken for that of the other register. So such a device is left
alone until its old answer cannot come any more; the line serves others meanwhile.
"""

from __future__ import annotations

from typing import NamedTuple

from drivers.contract import Exchange

PATIENCE = 3.0
"""A reply that is not there after so many times its timeout never comes."""

ROUNDING_S = 1e-6
"""`now + wait_s` is a sum: it may round to a time just before the end, and would be waited for in vain."""


class _Debt(NamedTuple):
    request: bytes
    until: float


class Debts:
    """What devices owe, by device; times in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._owed: dict[str, _Debt] = {}

    def unanswered(self, device: str, exchange: Exchange, sent: float) -> None:
        """The exchange sent at `sent` got no reply in time."""
        if exchange.ambiguous:
            until = sent + PATIENCE * exchange.timeout_ms / 1000
            self._owed[device] = _Debt(exchange.request, until)

    def answered(self, device: str, exchange: Exchange, sent: float) -> None:
        """It got one; where an older one was owed it may have been that, and its own be owed now."""
        if device in self._owed:
            self.unanswered(device, exchange, sent)

    def wait_s(self, device: str, exchange: Exchange, now: float) -> float:
        """How long the exchange must wait; the owed question itself may be repeated at once."""
        debt = self._owed.get(device)
        if debt is None or not exchange.ambiguous:
            return 0.0
        if debt.until - now <= ROUNDING_S:
            del self._owed[device]
            return 0.0
        return 0.0 if exchange.request == debt.request else debt.until - now
