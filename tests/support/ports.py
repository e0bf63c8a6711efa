"""Ports on loopback for the servers of tests: below those that the system lends to clients, so that no
connection takes one between its choice and its use, and for each worker of a run some of its own."""

from __future__ import annotations

import itertools
import os
import random
import socket

FIRST, EACH, WORKERS = 16_000, 2_000, 8

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
_ports = list(range(FIRST + _worker * EACH, FIRST + (_worker + 1) * EACH))
_begin = random.randrange(EACH)
_next = itertools.cycle(_ports[_begin:] + _ports[:_begin])


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens, not given before until all were."""
    for port in itertools.islice(_next, EACH):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port in {_ports[0]} to {_ports[-1]}")
