"""AT commands over a transport: one command, its answer lines, its final result (3GPP TS 27.007).

Echo and unsolicited lines (`RING`, `+CMTI: ...`) may come at any time; they are passed over.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from drivers.line.transport import Transport

PROMPT = "> "
LONGEST_LINE = 4096
"""A port that sends more without an end of line is no modem: what it sent is forgotten."""
_FAILED = re.compile(r"\+CM(?P<kind>[SE]) ERROR: *(?P<code>\d+)")
_NUMBERS = re.compile(r"-?\d+")


class ModemGone(Exception):
    """The port is closed, or nobody answers on it in time."""


class ModemRefused(Exception):
    """The modem answered ERROR. `kind` is `S` (+CMS ERROR), `E` (+CME ERROR) or empty."""

    def __init__(self, command: str, kind: str = "", code: int | None = None) -> None:
        said = f"+CM{kind} ERROR: {code}" if kind else "ERROR"
        super().__init__(f"{command}: {said}")
        self.kind = kind
        self.code = code


def numbers(line: str) -> list[int]:
    """The numbers behind an answer's name: `+CREG: 0,5` -> [0, 5]."""
    return [int(text) for text in _NUMBERS.findall(line.partition(":")[2])]


class AtPort:
    """One owner, one command at a time; every method raises ModemGone."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._received = ""
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(1000)
        self.open = False

    async def connect(self) -> None:
        """Opens the port; drivers.errors.LineDown where it cannot be opened."""
        self._received, self._lines = "", asyncio.Queue(1000)
        await self._transport.open(self._receive, self._lost)
        self.open = True

    def close(self) -> None:
        """Gives the port back."""
        self.open = False
        self._transport.close()

    async def ask(self, command: str, timeout_s: float, name: str = "", follows: str = "") -> list[str]:
        """The answer's lines that begin with `name`. Raises ModemRefused.

        What `follows` is sent behind the prompt, ended by Ctrl-Z.
        """
        while not self._lines.empty():  # what came unasked before is no answer
            self._lines.get_nowait()
        self._write(f"{command}\r")
        found: list[str] = []
        shown = command.partition("=")[0]  # a PIN or a text is nobody's to read
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    line = await self._lines.get()
                    if line is None:
                        raise ModemGone("the port was lost")
                    if line == PROMPT and follows:
                        self._write(f"{follows}\x1a")
                        follows = ""
                    elif line == "OK":
                        return found
                    elif line == "ERROR":
                        raise ModemRefused(shown)
                    elif failed := _FAILED.fullmatch(line):
                        raise ModemRefused(shown, failed["kind"], int(failed["code"]))
                    elif name and line.startswith(name):
                        found.append(line)
        except TimeoutError as error:
            if follows:
                self._write("\x1b")  # leaves a prompt that came too late
            raise ModemGone(f"{shown}: no answer within {timeout_s:g} s") from error

    def _write(self, text: str) -> None:
        if not self.open:
            raise ModemGone("the port was lost")
        self._transport.write(text.encode("ascii"))

    def _receive(self, data: bytes) -> None:
        self._received += data.decode("ascii", errors="replace")
        *lines, rest = re.split(r"[\r\n]+", self._received)
        if rest == PROMPT:
            lines.append(PROMPT)
            rest = ""
        self._received = rest[-LONGEST_LINE:]
        self._put([line.strip() if line != PROMPT else line for line in lines if line.strip()])

    def _lost(self, reason: str) -> None:
        self.open = False
        self._put([None])

    def _put(self, lines: Sequence[str | None]) -> None:
        for line in lines:
            if not self._lines.full():
                self._lines.put_nowait(line)
