"""systemd's notification socket: one datagram a message (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class NotifySocket:
    """Tells the service manager; does nothing where there is none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        usec = environment.get("WATCHDOG_USEC", "")
        pid = environment.get("WATCHDOG_PID", "")
        mine = not pid or pid == str(os.getpid())
        self.watchdog_s = int(usec) / 1_000_000 if usec.isdigit() and mine and self._address else None
        """The watchdog's patience in seconds, `None` when nobody watches."""

    def send(self, message: str) -> None:
        """Sends e.g. `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=...`."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            try:
                sock.sendto(message.encode(), address)
            except OSError:  # a manager that does not listen must not stop the gateway
                return
