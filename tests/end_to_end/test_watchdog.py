"""A task that fails is restarted beside the others; a gateway that stands still is not called alive."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.end_to_end.numbered_school import numbered_school

SABOTAGE = Path(__file__).parents[1] / "support" / "sabotage"
WATCHDOG_S = 1.5
STANDS_S = 3.0
TIMES = 2


class Manager:
    """The service manager's side of the notification socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """What came since the last time."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.mark.timeout(120)
async def test_an_unforeseen_error_restarts_its_line_alone_and_a_standstill_starves_the_watchdog(
    tmp_path: Path,
) -> None:
    manager = Manager(tmp_path / "notify")
    async with numbered_school(tmp_path) as school:
        gateway = school.gateway
        gateway.environment.update(
            NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC=str(int(WATCHDOG_S * 1e6)),
            PYTHONPATH=str(SABOTAGE), SABOTAGE_TIMES=str(TIMES), SABOTAGE_STANDS_S=str(STANDS_S),
        )  # fmt: skip
        await school.begin()
        await asyncio.sleep(2)
        heard = manager.heard()
        assert heard.count("READY=1") == 1
        assert heard.count("WATCHDOG=1") >= 2

        os.kill(gateway.pid, signal.SIGUSR1)
        async with asyncio.timeout(20):
            while gateway.log.read_text().count("RuntimeError: sabotage") == 0:
                await asyncio.sleep(0.1)
        before = school.ledger.number("tcp-1", "number")
        async with asyncio.timeout(30):
            while school.ledger.number("tcp-1", "number") == before:
                await asyncio.sleep(0.1)
        restarts = _restarts(await asyncio.to_thread(gateway.metrics))
        assert restarts["line plc"] == sum(restarts.values()) == TIMES
        assert gateway.log.read_text().count("failed, restarting: RuntimeError") == 1, "told once"

        os.kill(gateway.pid, signal.SIGUSR2)
        await asyncio.sleep(WATCHDOG_S / 2)
        manager.heard()
        await asyncio.sleep(WATCHDOG_S)
        assert manager.heard() == []
        async with asyncio.timeout(20):
            while "WATCHDOG=1" not in manager.heard():
                await asyncio.sleep(0.1)

        await school.quiet()
        await asyncio.sleep(2)
        await school.drained()
        await asyncio.to_thread(gateway.stop)
        assert "STOPPING=1" in manager.heard()
        manager.close()
        sent, stored, delivered = school.sent(), school.stored(), await school.delivered()
        for device, numbers in sent.items():
            assert delivered[device] == stored[device], device
            assert set(stored[device]) <= set(numbers), device
            # the standstill and each restart cost the polled lines what was under way
            assert len(numbers) - len(stored[device]) <= (0 if device.startswith("mqtt") else 8), device


def _restarts(metrics: str) -> dict[str, int]:
    """Task -> how often it was restarted, from the gateway's own numbers."""
    found = {}
    for line in metrics.splitlines():
        name, _, value = line.partition("} ")
        if name.startswith('campus_edge_task_restarts_total{task="'):
            found[name.split('"')[1]] = int(float(value))
    return found
