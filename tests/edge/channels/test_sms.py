"""Text messages through a simulated modem on a real pty: only +CMGS is a delivery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from edge.channels import modem as modem_module
from edge.channels.channel import Undelivered
from edge.channels.modem import Modem
from edge.channels.settings import SmsSettings
from edge.channels.sms import SmsChannel
from tests.edge.channels.test_channels import ALL, NOTICE
from tests.support.modem import SimulatedModem, read_submit

SHORT = replace(NOTICE, guide="", when="06:13:20", site="尚德中学")
NUMBERS = ("13901000453", "+8613800000000")


@asynccontextmanager
async def desk(modem: SimulatedModem, *numbers: str, pin: str | None = None) -> AsyncIterator[SmsChannel]:
    settings = SmsSettings(url=f"serial:{modem.path}", numbers=numbers or NUMBERS)
    channel = SmsChannel("desk.0.sms", settings, Modem(settings, pin), ALL)
    try:
        yield channel
    finally:
        await channel.close()


async def refused(channel: SmsChannel) -> Undelivered:
    with pytest.raises(Undelivered) as caught:
        await channel.send(SHORT)
    return caught.value


@pytest.mark.parametrize("echo", [True, False])
async def test_every_number_gets_the_notice_whatever_the_modem_says_in_between(echo: bool) -> None:
    async with SimulatedModem(echo=echo, chatter='+CMTI: "SM",3') as modem, desk(modem) as channel:
        modem.say("RING")
        assert await channel.send(SHORT) == "taken by the network for 2"
        told = [read_submit(pdu) for _, pdu in modem.messages]
        assert [one.number for one in told] == list(NUMBERS)
        assert told[0].text.startswith("【4级报警】二氧化碳超标")
        await channel.send(replace(SHORT, id="another"))
        assert modem.commands.count("ATE0") == 1, "the port stays open"


async def test_a_long_notice_is_one_message_in_parts_with_a_reference_of_its_own() -> None:
    async with SimulatedModem() as modem, desk(modem, "110") as channel:
        for number in ("first", "second"):
            await channel.send(replace(NOTICE, id=number, guide="疏散并关闭总阀" * 12))
        parts = [part for _, pdu in modem.messages if (part := read_submit(pdu).part)]
        assert len({part[0] for part in parts}) == 2
        assert [part[1:] for part in parts] == [(3, 1), (3, 2), (3, 3)] * 2


@pytest.mark.parametrize(
    ("answer", "final"),
    [(38, False), (42, False), (331, False), (332, False), (500, False), (512, False), (1, True), (8, True),
     (28, True), (310, True), (330, True), ("ERROR", False), ("OK", False)],
)  # fmt: skip
async def test_what_is_not_cmgs_is_no_delivery_and_the_code_decides(answer: int | str, final: bool) -> None:
    async with SimulatedModem(answers=[answer]) as modem, desk(modem, "110") as channel:
        error = await refused(channel)
        assert error.final is final, str(error)
        assert await channel.send(SHORT) == "taken by the network for 1", "the port is still usable"


async def test_a_second_try_leaves_out_those_who_have_it() -> None:
    async with SimulatedModem(answers=["", 42]) as modem, desk(modem) as channel:
        error = await refused(channel)
        assert not error.final
        assert "1 of 2 not reached" in str(error)
        await channel.send(SHORT)
        assert [read_submit(pdu).number for _, pdu in modem.messages] == list(NUMBERS)


async def test_a_wrong_number_does_not_keep_the_others_from_it() -> None:
    async with SimulatedModem(answers=[1]) as modem, desk(modem) as channel:
        assert (await refused(channel)).final
        assert [read_submit(pdu).number for _, pdu in modem.messages] == [NUMBERS[1]]


async def test_a_locked_sim_is_unlocked_with_the_pin() -> None:
    async with SimulatedModem(pin="1234") as modem, desk(modem, "110", pin="1234") as channel:
        await channel.send(SHORT)
        assert len(modem.messages) == 1


@pytest.mark.parametrize("tries", [3, None])
async def test_a_wrong_pin_is_tried_once(tries: int | None) -> None:
    async with (
        SimulatedModem(pin="1234", pin_tries=tries) as modem,
        desk(modem, "110", pin="4321") as channel,
    ):
        for _ in range(3):
            error = await refused(channel)
            assert error.final
            assert "4321" not in str(error)
        assert sum(command.startswith("AT+CPIN=") for command in modem.commands) == 1


async def test_the_last_tries_of_a_pin_are_left_to_a_person() -> None:
    async with SimulatedModem(pin="1234", pin_tries=2) as modem, desk(modem, "110", pin="1234") as channel:
        assert (await refused(channel)).final
        assert not any(command.startswith("AT+CPIN=") for command in modem.commands)


async def test_a_locked_sim_without_a_pin_is_told() -> None:
    async with SimulatedModem(pin="1234") as modem, desk(modem, "110") as channel:
        assert "SIM PIN" in str(await refused(channel))


async def test_without_a_network_the_notice_waits_and_nothing_is_sent() -> None:
    async with SimulatedModem(registration=2) as modem, desk(modem, "110") as channel:
        error = await refused(channel)
        assert (error.final, error.retry_after_s) == (False, 15.0)
        assert not any(command.startswith("AT+CMGS") for command in modem.commands)
        modem.registration = 5
        await channel.send(SHORT)


async def test_lte_registration_is_enough() -> None:
    async with SimulatedModem(lte_only=True) as modem, desk(modem, "110") as channel:
        await channel.send(SHORT)
        assert len(modem.messages) == 1


async def test_a_modem_that_falls_silent_does_not_hold_anybody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modem_module, "SEND_S", 0.2)
    async with SimulatedModem(answers=[None]) as modem, desk(modem, "110") as channel:
        error = await refused(channel)
        assert not error.final
        assert "no answer" in str(error)
        await channel.send(SHORT)
        assert len(modem.messages) == 1
        modem.prompt = False
        assert "no answer" in str(await refused(channel))


async def test_a_pulled_cable_and_a_missing_port_are_told() -> None:
    async with SimulatedModem() as modem, desk(modem, "110") as channel:
        await channel.send(SHORT)
        modem.unplug()
        await asyncio.sleep(0.05)
        assert not (await refused(channel)).final
        with pytest.raises(Undelivered):
            await channel.check()


async def test_two_desks_share_one_port_and_their_messages_do_not_mix() -> None:
    async with SimulatedModem() as modem:
        settings = SmsSettings(url=f"serial:{modem.path}", numbers=NUMBERS)
        shared = Modem(settings, None)
        desks = [SmsChannel(f"{name}.0.sms", settings, shared, ALL) for name in ("a", "b")]
        await asyncio.gather(*(one.send(replace(NOTICE, guide="疏散" * 60)) for one in desks))
        for one in desks:
            await one.close()
        parts = [part for _, pdu in modem.messages if (part := read_submit(pdu).part)]
        assert len(parts) == 12
        assert [part[2] for part in parts] == [1, 2, 3] * 4
        assert len({part[0] for part in parts}) == 4
        assert shared.signal == 21
