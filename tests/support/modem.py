"""A GSM modem on a real pty: speaks AT, takes PDUs, and fails in the ways that modems do."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self


@dataclass
class SimulatedModem:
    """What it is set to do, and what it was told. `answers` are taken one a message: `None` says
    nothing, an int is a +CMS error, a text stands for itself; then messages are taken."""

    echo: bool = True
    pin: str | None = None
    pin_tries: int | None = 3
    registration: int = 1
    lte_only: bool = False
    prompt: bool = True
    chatter: str = ""
    answers: list[int | str | None] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    messages: list[tuple[int, str]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave
        self._buffer = ""
        self._awaited: int | None = None
        self._locked = self.pin is not None
        self._echoes = self.echo
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.unplug()

    def unplug(self) -> None:
        """The cable is pulled; may be called twice."""
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1

    def say(self, text: str) -> None:
        """Sends a line, asked or not."""
        os.write(self._master, f"\r\n{text}\r\n".encode())

    def _read(self) -> None:
        data = os.read(self._master, 4096).decode()
        if self._echoes:
            os.write(self._master, data.encode())
        self._buffer += data
        for line in self._lines():
            if self._awaited is not None:
                self._message(line)
            else:
                self.commands.append(line)
                if self.chatter:
                    self.say(self.chatter)
                self._command(line)

    def _lines(self) -> Iterator[str]:
        while True:
            ends = [n for n in (self._buffer.find(c) for c in "\r\x1a\x1b") if n >= 0]
            if not ends:
                return
            line, self._buffer = self._buffer[: min(ends)], self._buffer[min(ends) + 1 :]
            yield line

    def _command(self, line: str) -> None:
        answer = {
            "AT+CPIN?": "+CPIN: SIM PIN" if self._locked else "+CPIN: READY",
            "AT+CREG?": f"+CREG: 0,{0 if self.lte_only else self.registration}",
            "AT+CEREG?": f"+CEREG: 0,{self.registration if self.lte_only else 0}",
            "AT+CSQ": "+CSQ: 21,99",
        }.get(line)
        if line == "ATE0":
            self._echoes = False
        if line.startswith("AT+CMGS="):
            self._awaited = int(line.partition("=")[2])
            if self.prompt:
                os.write(self._master, b"\r\n> ")
            return
        if line.startswith("AT+CPIN="):
            self._unlock(line.partition("=")[2].strip('"'))
        elif line == "AT+CPINR":
            self.say("ERROR" if self.pin_tries is None else f"+CPINR: SIM PIN,{self.pin_tries},3\r\n\r\nOK")
        elif line == "AT+CGREG?":
            self.say("+CME ERROR: 100")
        else:
            self.say(f"{answer}\r\n\r\nOK" if answer else "OK")

    def _unlock(self, pin: str) -> None:
        self._locked = pin != self.pin
        if self._locked and self.pin_tries is not None:
            self.pin_tries -= 1
        self.say("+CME ERROR: 16" if self._locked else "OK")

    def _message(self, pdu: str) -> None:
        length, self._awaited = self._awaited, None
        assert length is not None
        answer = self.answers.pop(0) if self.answers else ""
        if answer is None or not pdu:
            return
        if isinstance(answer, int):
            self.say(f"+CMS ERROR: {answer}")
        elif answer:
            self.say(answer)
        elif len(pdu) != 2 * length + 2:
            self.say("+CMS ERROR: 304")
        else:
            self.messages.append((length, pdu))
            self.say(f"+CMGS: {len(self.messages)}")
            self.say("OK")


@dataclass(frozen=True)
class Submitted:
    """What a PDU without service centre says, read back field by field."""

    number: str
    text: str
    part: tuple[int, int, int] | None
    """Reference, total and number of a part."""


def read_submit(pdu: str) -> Submitted:
    """An SMS-SUBMIT in UCS-2 with a relative validity (3GPP TS 23.040, 9.2.2.2)."""
    octets = bytes.fromhex(pdu)
    smsc, first, digits, kind = octets[0], octets[1], octets[3], octets[4]
    assert (smsc, first & 0x1F) == (0, 0x11)
    end = 5 + (digits + 1) // 2
    swapped = "".join(f"{octet & 0xF:X}{octet >> 4:X}" for octet in octets[5:end])
    number = ("+" if kind == 0x91 else "") + swapped[:digits]
    pid, coding, _, length = octets[end : end + 4]
    data = octets[end + 4 :]
    assert (pid, coding, length) == (0, 8, len(data))
    if not first & 0x40:
        return Submitted(number, data.decode("utf-16-be"), None)
    assert data[:3] == bytes((5, 0, 3))
    return Submitted(number, data[6:].decode("utf-16-be"), (data[3], data[4], data[5]))
