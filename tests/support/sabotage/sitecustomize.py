"""Loaded by a Python process whose PYTHONPATH names this folder: what no input can bring about.

SIGUSR1: reading Modbus fails $SABOTAGE_TIMES times with an error that nobody foresaw.
SIGUSR2: the main thread, and with it the event loop, stands still for $SABOTAGE_STANDS_S seconds.
"""

import os
import signal
import time
from types import FrameType
from typing import Any


def _fail(number: int, frame: FrameType | None) -> None:
    from drivers.modbus.driver import ModbusDriver

    poll, left = ModbusDriver.poll, [int(os.environ["SABOTAGE_TIMES"])]

    def fail(self: ModbusDriver, *arguments: Any) -> Any:
        if self._tcp and left[0] > 0:
            left[0] -= 1
            raise RuntimeError("sabotage")
        return poll(self, *arguments)

    ModbusDriver.poll = fail  # type: ignore[method-assign, assignment]


def _stand_still(number: int, frame: FrameType | None) -> None:
    time.sleep(float(os.environ["SABOTAGE_STANDS_S"]))


signal.signal(signal.SIGUSR1, _fail)
signal.signal(signal.SIGUSR2, _stand_still)
