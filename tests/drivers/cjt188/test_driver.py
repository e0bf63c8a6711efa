"""One meter, polled: order of identifiers, units, refusals, silence, repeaters."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from drivers.cjt188 import codec
from drivers.cjt188.codec import Frame
from drivers.cjt188.driver import FORGET_AFTER, REFUSALS, REST_ROUNDS, Cjt188Driver
from drivers.cjt188.profile import Cjt188Profile
from drivers.cjt188.settings import Cjt188Device
from drivers.contract import Exchange, Reply
from drivers.errors import BadFrame, DriverError, LineDown, NoReply, NotWritable, Refused
from drivers.line.settings import FieldLine, Framing, SerialLine, TcpLine
from drivers.reading import Quality, Reading
from drivers.vocabulary import PointSpec
from tests.drivers.dlt645.frames_of import Answering, drive

ADDRESS = "78330011223344"
SERIAL = SerialLine(id="bus-a", url="serial:/dev/ttyUSB0", baudrate=9600)
TCP = TcpLine(id="srv", url="tcp://127.0.0.1:8899")
POINTS: dict[str, Any] = {
    "volume": {"field": "volume"},
    "volume_last_month": {"di": "D120", "field": "settled_volume"},
    "valve_open": {"field": "status", "bits": [0, 1], "true_for": [0], "false_for": [1]},
    "battery_low": {"field": "status", "bits": [2]},
    "status_word": {"field": "status"},
    "meter_clock": {"field": "clock"},
}
HEAT: dict[str, Any] = {"heat": {"field": "heat"}, "supply_temperature": {"field": "supply_temperature"}}
NOW = "34120000 2C 00120000 2C 59541619081720 0500"
BODIES = {"901F": NOW, "D120": "0012 0000 2C"}
UNITS_LAST = (
    "00400000 05 56780000 05 34120000 17 25010000 35 78563400 2C 506500 254500 452301 30150802032620 0000"
)
UNITS_FIRST = (
    "05 00400000 05 56780000 17 34120000 35 25010000 2C 78563400 506500 254500 452301 30150802032620 0000"
)


def driver(
    points: dict[str, Any] = POINTS, line: FieldLine = SERIAL, address: str = ADDRESS, **more: Any
) -> Cjt188Driver:
    profile = Cjt188Profile.model_validate(
        {
            "id": "meter", "maker": "any", "model": "any", "kind": "water_meter", "family": "cjt188",
            "source": "CJ/T 188-2004 section 7", "meter_type": "10", "points": points, **more,
        }
    )  # fmt: skip
    device = Cjt188Device(
        id="wm-1", space="r", line="bus-a", profile="meter", protocol="cjt188", address=address
    )
    kinds = {"valve_open": "switch", "battery_low": "switch", "meter_clock": "text"}
    specs = {
        name: PointSpec.model_validate(
            {"unit": "u", "zh": name, "en": name, "min": 0, "max": 1e9, "type": kinds.get(name, "number")}
        )
        for name in points
    }
    return Cjt188Driver(device, profile, specs, line)


def asked(exchange: Exchange) -> Frame:
    return codec.parse(exchange.request.lstrip(b"\xfe"))


def reply_to(request: Frame, body: str, control: int = 0x81) -> bytes:
    address = codec.address_bytes(ADDRESS)
    return codec.build(Frame(request.type, address, control, request.data[:3] + bytes.fromhex(body)))


def refusal(request: Frame) -> bytes:
    address = codec.address_bytes(ADDRESS)
    return codec.build(Frame(request.type, address, 0xC1, request.data[2:3] + b"\x02\x00"))


def meter(
    bodies: dict[str, str] = BODIES, log: list[str] | None = None, low_first: bool = False
) -> Answering:
    """Answers what it has, refuses the rest, and does not understand the other order of identifiers."""

    def answer(exchange: Exchange) -> bytes | DriverError:
        request = asked(exchange)
        sent = request.data[:2].hex().upper()
        if log is not None:
            log.append(sent)
        di = request.data[1::-1].hex().upper() if low_first else sent
        if di[0] not in "9D":
            return NoReply("not understood")
        return reply_to(request, bodies[di]) if di in bodies else refusal(request)

    return answer


def values(readings: list[Reading]) -> dict[str, float | str | None]:
    """Values, and the reason in angle brackets where there is none."""
    return {r.point: r.value if r.quality is Quality.GOOD else f"<{r.reason}>" for r in readings}


def test_a_round_asks_each_identifier_once_and_gives_every_point_in_the_profiles_order() -> None:
    log: list[str] = []
    readings = drive(driver().poll(1_000), meter(log=log))
    assert log == ["901F", "D120"]
    assert values(readings) == {
        "volume": 12.34,
        "volume_last_month": 12.0,
        "valve_open": False,
        "battery_low": True,
        "status_word": 5.0,
        "meter_clock": "2017-08-19T16:54:59",
    }
    assert [r.point for r in readings] == list(POINTS)
    assert [r.at for r in readings] == [1_100, 1_200, 1_100, 1_100, 1_100, 1_100], "never the meter's clock"


@pytest.mark.parametrize(("line", "baudrate", "framing"), [(SERIAL, 2400, Framing.F8E1), (TCP, None, None)])
def test_an_exchange_carries_the_meters_own_rate_on_a_serial_line_only(
    line: FieldLine, baudrate: int | None, framing: Framing | None
) -> None:
    exchange = next(driver(line=line).poll(0))
    assert (exchange.baudrate, exchange.framing, exchange.timeout_ms) == (baudrate, framing, 1500)
    assert exchange.request.startswith(b"\xfe\xfe\xfe\xfe\x68\x10")


def test_a_printed_number_of_ten_digits_finds_its_meter() -> None:
    subject = driver(address="0011223344")
    assert values(drive(subject.poll(0), meter()))["volume"] == 12.34


def test_the_other_order_of_the_identifier_is_tried_once_and_kept_when_it_is_answered() -> None:
    subject = driver()
    log: list[str] = []
    for _ in range(2):
        assert values(drive(subject.poll(0), meter(log=log, low_first=True)))["volume"] == 12.34
    assert log == ["901F", "1F90", "20D1", "1F90", "20D1"]


def test_the_profiles_order_comes_first() -> None:
    log: list[str] = []
    drive(driver(di_order="low_first").poll(0), meter(log=log, low_first=True))
    assert log == ["1F90", "20D1"]


def test_a_meter_that_refuses_the_wrong_order_is_asked_in_the_other() -> None:
    log: list[str] = []
    answering = meter(log=log, low_first=True)

    def refusing(exchange: Exchange) -> bytes | DriverError:
        came = answering(exchange)
        return refusal(asked(exchange)) if isinstance(came, NoReply) else came

    assert values(drive(driver().poll(0), refusing))["volume"] == 12.34


def test_a_dead_meter_costs_two_timeouts_in_the_first_round_and_one_in_each_later() -> None:
    subject = driver()
    log: list[str] = []

    def dead(exchange: Exchange) -> DriverError:
        log.append(asked(exchange).data[:2].hex())
        return NoReply("silence")

    readings = drive(subject.poll(5_000), dead)
    assert set(values(readings).values()) == {"<timeout>"}
    assert all(r.value is None and r.at == 5_000 for r in readings)
    assert log == ["901f", "1f90"]
    for _ in range(3):
        drive(subject.poll(0), dead)
    assert log[2:] == ["901f", "1f90", "901f"], "in turns, so that either kind is found when it wakes up"


def test_a_known_meter_is_not_asked_twice_when_it_falls_silent() -> None:
    subject = driver()
    drive(subject.poll(0), meter())
    for _ in range(FORGET_AFTER - 1):
        log: list[str] = []

        def dead(exchange: Exchange, log: list[str] = log) -> DriverError:
            log.append(asked(exchange).data[:2].hex())
            return NoReply("silence")

        drive(subject.poll(0), dead)
        assert log == ["901f"]
    assert values(drive(subject.poll(0), meter()))["volume"] == 12.34


def test_a_meter_replaced_by_one_of_the_other_order_is_found() -> None:
    subject = driver()
    drive(subject.poll(0), meter())
    found = []
    for _ in range(FORGET_AFTER + 3):
        found.append(values(drive(subject.poll(0), meter(low_first=True)))["volume"])
    assert found[-1] == 12.34


def test_a_line_that_is_gone_makes_every_point_bad() -> None:
    readings = drive(driver().poll(0), lambda _: LineDown("unplugged"))
    assert set(values(readings).values()) == {"<line_down>"}


def test_an_identifier_that_is_refused_again_and_again_rests() -> None:
    subject = driver()
    log: list[str] = []
    answering = meter({"901F": NOW}, log)
    for _ in range(REFUSALS + REST_ROUNDS - 1):
        readings = values(drive(subject.poll(0), answering))
        assert (readings["volume"], readings["volume_last_month"]) == (12.34, "<exception:2>")
    assert log.count("D120") == REFUSALS
    drive(subject.poll(0), answering)
    assert log.count("D120") == REFUSALS + 1


def test_a_refused_reading_of_now_is_asked_again_each_round() -> None:
    subject = driver({"volume": POINTS["volume"]})
    drive(subject.poll(0), meter())
    log: list[str] = []
    for _ in range(REFUSALS + 2):
        assert values(drive(subject.poll(0), meter({}, log))) == {"volume": "<exception:2>"}
    assert len(log) == REFUSALS + 2


@pytest.mark.parametrize("reason", ["echo", "noise", "crc", "wrong_address"])
def test_a_broken_frame_is_a_bad_reading_with_its_reason(reason: str) -> None:
    readings = drive(driver().poll(0), lambda _: BadFrame(reason, frame=b"", reason=reason))
    assert set(values(readings).values()) == {f"<{reason}>"}


@pytest.mark.parametrize(
    ("now", "volume", "clock"),
    [
        ("FFFFFFFF 2C 00000000 2C 00000000000000 0000", "<not_available>", "<not_available>"),
        ("34120000 2D 00000000 2C 59541619081720 0000", "<unit>", "2017-08-19T16:54:59"),
        ("3A120000 2C 00000000 2C 59541619081720 0000", "<not_bcd>", "2017-08-19T16:54:59"),
        ("34120000 2C 00000000 2C 99999999999999 0000", 12.34, "<clock>"),
        ("34120000 2C 00000000 2C FFFFFFFFFFFFFF 0000", 12.34, "<not_available>"),
        ("34120000 2C", "<length>", "<length>"),
        (NOW + "00", "<length>", "<length>"),
    ],
)
def test_a_bad_field_in_a_good_frame_is_bad_alone(now: str, volume: float | str, clock: float | str) -> None:
    readings = values(drive(driver().poll(0), meter({"901F": now, "D120": BODIES["D120"]})))
    assert (readings["volume"], readings["meter_clock"]) == (volume, clock)


@pytest.mark.parametrize(
    ("status", "valve", "word"),
    [("0000", True, 0.0), ("0100", False, 1.0), ("0300", "<unknown_state>", 3.0),
     ("FFFF", "<not_available>", "<not_available>")],
)  # fmt: skip
def test_the_status_word_is_kept_beside_what_the_profile_makes_of_it(
    status: str, valve: bool | str, word: float | str
) -> None:
    now = NOW[:-4] + status
    readings = values(drive(driver().poll(0), meter({"901F": now, "D120": BODIES["D120"]})))
    assert (readings["valve_open"], readings["status_word"]) == (valve, word)


@pytest.mark.parametrize("body", [UNITS_LAST, UNITS_FIRST], ids=["units behind", "units before"])
def test_a_heat_meter_is_read_wherever_its_units_stand(body: str) -> None:
    subject = driver(HEAT, meter_type="20")
    assert values(drive(subject.poll(0), meter({"901F": body}))) == {
        "heat": 78.56,
        "supply_temperature": 65.5,
    }


def test_a_heat_meters_reply_in_no_order_of_units_gives_no_energy() -> None:
    subject = driver(HEAT, meter_type="20")
    body = UNITS_LAST.replace(" 35 ", " 36 ")
    assert values(drive(subject.poll(0), meter({"901F": body}))) == {
        "heat": "<unit>",
        "supply_temperature": 65.5,
    }


def test_once_learnt_the_order_of_units_outlives_a_reply_that_does_not_tell() -> None:
    subject = driver(HEAT, meter_type="20")
    drive(subject.poll(0), meter({"901F": UNITS_FIRST}))
    body = UNITS_FIRST.replace("35 2501", "77 2501")
    assert values(drive(subject.poll(0), meter({"901F": body})))["heat"] == 78.56


def test_a_repeater_that_answers_twice_disturbs_nothing() -> None:
    answering = meter()
    previous = b""

    def repeated(exchange: Exchange) -> bytes | DriverError:
        nonlocal previous
        came = answering(exchange)
        assert isinstance(came, bytes)
        late, previous = previous, came
        return late + came

    readings = values(drive(driver().poll(0), repeated))
    assert (readings["volume"], readings["volume_last_month"]) == (12.34, 12.0)


@pytest.mark.parametrize(
    "point",
    [
        {"field": "heat"},
        {"field": "volume", "bits": [1]},
        {"di": "D120", "field": "clock"},
        {"di": "8102", "field": "volume"},
        {"field": "status", "bits": [0], "true_for": [1], "false_for": [1]},
        {"field": "status", "bits": [16]},
    ],
)
def test_a_profile_that_asks_for_what_the_reply_does_not_hold_is_refused(point: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        driver({"volume": point})


@pytest.mark.parametrize("address", ["1234", "AAAAAAAAAAAAAA", "0020230716017x", "002023071601"])
def test_an_address_has_ten_or_fourteen_digits(address: str) -> None:
    with pytest.raises(ValidationError, match="address"):
        driver(address=address)


WITH_VALVE = {**POINTS, "valve_open": {**POINTS["valve_open"], "write": {"readback": False}}}


def test_the_valve_is_told_once_and_the_meters_answer_is_read() -> None:
    made = driver(WITH_VALVE)
    for opened, order in ((False, 0x99), (True, 0x55)):
        write = made.write("valve_open", opened)
        exchange = next(write)
        assert not exchange.repeatable
        request = asked(exchange)
        assert (request.control, request.data[:2].hex(), request.data[3]) == (0x04, "a017", order)
        with pytest.raises(StopIteration) as done:
            write.send(Reply(reply_to(request, "00 00", 0x84), 1))
        assert done.value.value is None


def test_a_meter_that_refuses_to_move_its_valve_says_why() -> None:
    made = driver(WITH_VALVE)
    write = made.write("valve_open", False)
    request = asked(next(write))
    with pytest.raises(Refused):
        write.send(Reply(codec.build(Frame(*request[:2], 0xC4, request.data[2:3] + b"\x02\x00")), 1))


def test_only_a_valve_is_written_and_only_with_a_switch() -> None:
    with pytest.raises(NotWritable):
        driver().write("valve_open", True)
    with pytest.raises(NotWritable):
        driver(WITH_VALVE).write("volume", 1.0)
    with pytest.raises(NotWritable, match="true or false"):
        driver(WITH_VALVE).write("valve_open", 1.0)
