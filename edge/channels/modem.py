"""A GSM or LTE modem on a port of its own: its SIM, its network, and short messages in PDU mode."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from drivers.errors import LineDown
from drivers.line.settings import FieldLine, SerialLine, TcpLine
from drivers.line.transport import Transport, transport_for
from edge.channels.at import AtPort, ModemGone, ModemRefused, numbers
from edge.channels.channel import Undelivered
from edge.channels.settings import SmsSettings
from edge.channels.sms_pdu import submits

_LOG = logging.getLogger(__name__)

ANSWER_S = 5.0
SIM_S = 20.0
"""A SIM takes its time to be unlocked (+CPIN)."""
SEND_S = 60.0
"""The network's answer to one message (+CMGS)."""
HELLO_TRIES = 3
SAFE_TRIES = 3
"""A PIN is tried only while the SIM allows this many: the last ones are a person's."""
AWAY_S = 15.0
"""A modem that is not registered is asked again after this long."""
HOME, ROAMING = 1, 5
REGISTRATIONS = ("+CREG", "+CGREG", "+CEREG")
"""Circuit, packet and LTE registration: one of them is enough for messages."""
HOPELESS = frozenset(
    {
        1, 8, 10, 28, 29, 30, 50, 69,  # TS 24.011 annex E-2: number, barring, facility
        81, 95, 96, 97, 98, 99, 111,  # protocol
        193, 195, 196, 208,  # TS 23.040 9.2.3.22: no subscription, address invalid or barred
        300, 301, 303, 304, 305, 330,  # TS 27.005 3.2.5: this equipment, this PDU, no service centre
        310, 311, 312, 313, 315, 316, 317, 318,  # TS 27.005 3.2.5: the SIM is missing, locked or wrong
    }
)  # fmt: skip
"""+CMS errors that another try does not mend; all others (congestion, no network, busy) may pass."""


class Modem:
    """The one owner of a modem's port; several desks may send through it, one message at a time."""

    def __init__(
        self,
        settings: SmsSettings,
        pin: str | None,
        transport: Callable[[FieldLine], Transport] = transport_for,
    ) -> None:
        self._port = AtPort(transport(_line(settings)))
        self._pin = pin
        self._lock = asyncio.Lock()
        self._pin_refused = ""
        self._reference = 0
        self.signal: int | None = None
        """+CSQ, 0 to 31; `None` while unknown."""

    async def send(self, number: str, text: str) -> None:
        """Sends a text in as many messages as it takes; Undelivered unless each has its +CMGS."""
        async with self._use():
            self._reference = (self._reference + 1) & 0xFF
            for pdu in submits(number, text, self._reference):
                sent = await self._port.ask(f"AT+CMGS={pdu.length}", SEND_S, "+CMGS:", pdu.text)
                if not sent:
                    raise Undelivered("OK without +CMGS: the network has not taken it")

    async def check(self) -> None:
        """Whether a message could be sent now; raises Undelivered."""
        async with self._use():
            pass

    def close(self) -> None:
        """Gives the port back."""
        self._port.close()

    @asynccontextmanager
    async def _use(self) -> AsyncIterator[None]:
        """The modem, ready, for one at a time; whatever fails is Undelivered."""
        async with self._lock:
            try:
                await self._ready()
                yield
            except ModemRefused as error:
                hopeless = error.kind == "S" and error.code in HOPELESS
                raise Undelivered(f"modem: {error}", final=hopeless) from error
            except (ModemGone, LineDown) as error:
                self._port.close()
                raise Undelivered(f"modem: {error}") from error

    async def _ready(self) -> None:
        """Opens what is closed, then asks for SIM and network before every message: both may go."""
        if not self._port.open:
            await self._port.connect()
            await self._hello()
        await self._unlock()
        await self._registered()
        for line in await self._port.ask("AT+CSQ", ANSWER_S, "+CSQ:"):
            strength = numbers(line)[0]
            self.signal = strength if strength <= 31 else None

    async def _hello(self) -> None:
        for left in reversed(range(HELLO_TRIES)):
            try:
                await self._port.ask("AT", ANSWER_S / HELLO_TRIES)
                break
            except (ModemGone, ModemRefused):  # it may have slept, or sat in a prompt of the last owner
                if not left:
                    raise
        await self._port.ask("ATE0", ANSWER_S)
        await self._port.ask("AT+CMEE=1", ANSWER_S)
        await self._port.ask("AT+CMGF=0", ANSWER_S)

    async def _unlock(self) -> None:
        answer = await self._port.ask("AT+CPIN?", SIM_S, "+CPIN:")
        state = answer[0].partition(":")[2].strip() if answer else "no answer"
        if state == "READY":
            return
        if state != "SIM PIN" or self._pin is None:
            raise Undelivered(f"SIM: {state}", final=True)
        if self._pin_refused:
            raise Undelivered(self._pin_refused, final=True)
        await self._spare_tries()
        try:
            await self._port.ask(f'AT+CPIN="{self._pin}"', SIM_S)
        except ModemRefused as error:
            self._pin_refused = "SIM: the PIN was refused, and is not tried again"
            _LOG.error("%s", self._pin_refused)
            raise Undelivered(self._pin_refused, final=True) from error

    async def _spare_tries(self) -> None:
        """Undelivered where the SIM says that few tries are left; many modems cannot tell."""
        try:
            told = await self._port.ask("AT+CPINR", ANSWER_S, "+CPINR: SIM PIN,")
        except ModemRefused:
            return
        if told and (numbers(told[0]) or [SAFE_TRIES])[0] < SAFE_TRIES:
            raise Undelivered("SIM: a PIN was refused before; enter it in a phone", final=True)

    async def _registered(self) -> None:
        seen: list[int] = []
        for name in REGISTRATIONS:
            try:
                answer = await self._port.ask(f"AT{name}?", ANSWER_S, f"{name}:")
            except ModemRefused:  # a GSM modem knows no +CEREG
                continue
            seen += [told[1] for line in answer if len(told := numbers(line)) >= 2]  # one number: unasked
            if seen and seen[-1] in (HOME, ROAMING):
                return
        word = "refused by the network" if 3 in seen else "no network"
        raise Undelivered(f"modem: {word}", retry_after_s=AWAY_S)


def _line(settings: SmsSettings) -> FieldLine:
    if settings.url.startswith("tcp:"):
        return TcpLine(id="modem", url=settings.url)
    return SerialLine(id="modem", url=settings.url, baudrate=settings.baudrate)
