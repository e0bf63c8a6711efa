"""One meter, polled: blocks, refusals, silence, and a meter of another implementation over TCP."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from dlt645 import MeterServerService, disable_logging  # type: ignore[import-untyped]

from drivers.bcd import encode_bcd
from drivers.contract import Exchange
from drivers.dlt645 import codec
from drivers.dlt645.driver import RETRY_ROUNDS, SILENT_ROUNDS, Dlt645Driver
from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.errors import BadFrame, DriverError, LineDown, NoReply
from drivers.line.settings import FieldLine, Framing, SerialLine, TcpLine
from drivers.reading import Quality, Reading
from drivers.vocabulary import PointSpec
from tests.drivers.dlt645.frames_of import Answering, drive

ADDRESS = "202211304417"
WIRE = codec.address_bytes(ADDRESS)
SERIAL = SerialLine(id="bus-a", url="serial:/dev/ttyUSB0", baudrate=9600)
TCP = TcpLine(id="srv", url="tcp://127.0.0.1:8899")

POINTS = {
    "energy_import": {"di": "00010000", "block": 0},
    "energy_import_t1": {"di": "00010100", "block": 1},
    "voltage_l1": {"di": "02010100", "bytes": 2, "decimals": 1, "block": 0},
    "voltage_l2": {"di": "02010200", "bytes": 2, "decimals": 1, "block": 1},
    "active_power": {"di": "02030000", "bytes": 3, "decimals": 4, "signed": True},
    "frequency": {"di": "02800002", "bytes": 2, "decimals": 2},
}
DATA = {
    "0001FF00": "33221100 05000000",
    "0201FF00": "0523 1623",
    "02030000": "345692",
    "02800002": "0050",
    "00010000": "33221100",
    "00010100": "05000000",
    "02010100": "0523",
}


def driver(points: dict[str, dict[str, object]] = POINTS, line: FieldLine = SERIAL) -> Dlt645Driver:
    profile = Dlt645Profile.model_validate(
        {
            "id": "meter",
            "maker": "any",
            "model": "any",
            "kind": "electricity_meter",
            "source": "DL/T 645-2007 annex A",
            "family": "dlt645",
            "points": points,
        }
    )
    device = Dlt645Device(
        id="em-1", space="r", line="bus-a", profile="meter", protocol="dlt645", address=ADDRESS
    )
    specs = {name: PointSpec(unit="u", zh=name, en=name, min=-1e9, max=1e9) for name in points}
    return Dlt645Driver(device, profile, specs, line)


def asked(exchange: Exchange) -> str:
    request = exchange.request.lstrip(b"\xfe")
    return codec.parse(request).data[:4][::-1].hex().upper()


def refusal(word: int = 2) -> bytes:
    return codec.build(codec.Frame(WIRE, 0xD1, bytes([word])))


def meter(data: dict[str, str], log: list[str] | None = None) -> Answering:
    """Answers what it has and refuses the rest."""

    def answer(exchange: Exchange) -> bytes:
        di = asked(exchange)
        if log is not None:
            log.append(di)
        if di not in data:
            return refusal()
        return codec.build(codec.Frame(WIRE, 0x91, bytes.fromhex(di)[::-1] + bytes.fromhex(data[di])))

    return answer


def values(readings: list[Reading]) -> dict[str, float | str | None]:
    """Values, and the reason in angle brackets where there is none."""
    return {r.point: r.value if r.quality is Quality.GOOD else f"<{r.reason}>" for r in readings}


def test_a_round_reads_blocks_together_and_gives_every_point_in_the_profiles_order() -> None:
    log: list[str] = []
    readings = drive(driver().poll(1_000), meter(DATA, log))
    assert log == ["0001FF00", "0201FF00", "02030000", "02800002"]
    assert values(readings) == {
        "energy_import": 112233 / 100,
        "energy_import_t1": 0.05,
        "voltage_l1": 230.5,
        "voltage_l2": 231.6,
        "active_power": -12.5634,
        "frequency": 50.0,
    }
    assert [r.point for r in readings] == list(POINTS)
    assert [r.at for r in readings] == [1_100, 1_100, 1_200, 1_200, 1_300, 1_400]


@pytest.mark.parametrize(("line", "baudrate", "framing"), [(SERIAL, 2400, Framing.F8E1), (TCP, None, None)])
def test_an_exchange_carries_the_meters_own_rate_on_a_serial_line_only(
    line: FieldLine, baudrate: int | None, framing: Framing | None
) -> None:
    exchange = next(driver(line=line).poll(0))
    assert (exchange.baudrate, exchange.framing, exchange.timeout_ms) == (baudrate, framing, 1500)
    assert exchange.request.startswith(b"\xfe\xfe\xfe\xfe\x68")


def test_a_refused_block_is_read_item_by_item_from_then_on() -> None:
    subject = driver()
    data = {di: text for di, text in DATA.items() if di != "0201FF00"}
    log: list[str] = []
    first = values(drive(subject.poll(0), meter(data, log)))
    assert first["voltage_l1"] == 230.5
    assert first["voltage_l2"] == "<not_supported>"
    assert log == ["0001FF00", "0201FF00", "02010100", "02010200", "02030000", "02800002"]
    log.clear()
    assert values(drive(subject.poll(0), meter(data, log))) == first
    assert log == ["0001FF00", "02010100", "02030000", "02800002"]


def test_a_quantity_the_meter_lacks_is_asked_again_only_rarely() -> None:
    subject = driver()
    data = {di: text for di, text in DATA.items() if di != "02800002"}
    log: list[str] = []
    for _ in range(RETRY_ROUNDS):
        readings = values(drive(subject.poll(0), meter(data, log)))
        assert readings["frequency"] == "<not_supported>"
        assert readings["active_power"] == -12.5634
    assert log.count("02800002") == 1
    assert values(drive(subject.poll(0), meter(DATA, log)))["frequency"] == 50.0
    assert log.count("02800002") == 2


def test_another_refusal_is_asked_again_each_round() -> None:
    subject = driver()
    log: list[str] = []

    def guarded(exchange: Exchange) -> bytes:
        log.append(asked(exchange))
        return refusal(4)

    for _ in range(2):
        assert set(values(drive(subject.poll(0), guarded)).values()) == {"<exception:4>"}
    assert len(log) == 8


@pytest.mark.parametrize("error", [NoReply("mute"), LineDown("unplugged")])
def test_a_silent_meter_costs_one_timeout_and_every_point_is_bad(error: DriverError) -> None:
    log: list[str] = []

    def silent(exchange: Exchange) -> DriverError:
        log.append(asked(exchange))
        return error

    readings = drive(driver().poll(5_000), silent)
    assert len(log) == 1
    assert set(values(readings).values()) == {f"<{error.reason}>"}
    assert [r.point for r in readings] == list(POINTS)
    assert all(r.value is None and r.at == 5_000 for r in readings)


def test_one_mute_quantity_hides_the_others_for_one_round_only_and_then_rests() -> None:
    subject = driver()
    answering = meter(DATA)
    log: list[str] = []

    def half_deaf(exchange: Exchange) -> bytes | DriverError:
        log.append(asked(exchange))
        return NoReply("mute") if asked(exchange) == "0001FF00" else answering(exchange)

    assert set(values(drive(subject.poll(0), half_deaf)).values()) == {"<timeout>"}
    for _ in range(SILENT_ROUNDS):
        readings = values(drive(subject.poll(0), half_deaf))
        assert readings["energy_import"] == "<timeout>"
        assert readings["voltage_l1"] == 230.5
        assert readings["frequency"] == 50.0
    log.clear()
    drive(subject.poll(0), half_deaf)
    assert "0001FF00" not in log


def test_a_meter_that_was_dead_for_days_is_read_in_full_when_it_is_back() -> None:
    subject = driver()
    for _ in range(50):
        drive(subject.poll(0), lambda _: NoReply("no power"))
    assert values(drive(subject.poll(0), meter(DATA))) == values(drive(driver().poll(0), meter(DATA)))


def test_a_broken_frame_spoils_its_own_points_only() -> None:
    answering = meter(DATA)

    def noisy(exchange: Exchange) -> bytes | DriverError:
        return BadFrame("sum", frame=b"\x68") if asked(exchange) == "0201FF00" else answering(exchange)

    readings = values(drive(driver().poll(0), noisy))
    assert (readings["voltage_l1"], readings["voltage_l2"]) == ("<crc>", "<crc>")
    assert readings["active_power"] == -12.5634


@pytest.mark.parametrize("reason", ["echo", "noise", "crc", "wrong_address"])
def test_a_wire_that_brings_nothing_of_ours_is_left_after_two_tries(reason: str) -> None:
    log: list[str] = []

    def hopeless(exchange: Exchange) -> DriverError:
        log.append(asked(exchange))
        return BadFrame(reason, frame=b"", reason=reason)

    assert set(values(drive(driver().poll(0), hopeless)).values()) == {f"<{reason}>"}
    assert len(log) == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [("0A23", "<not_bcd>"), ("FFFF", "<not_available>"), ("052300", "<length>"), ("", "<length>")],
)
def test_a_bad_value_in_a_good_frame_is_a_bad_reading(data: str, reason: str) -> None:
    points = {"voltage_l1": {"di": "02010100", "bytes": 2, "decimals": 1}}
    readings = drive(driver(points).poll(0), meter({"02010100": data}))
    assert values(readings) == {"voltage_l1": reason}


def test_phases_that_a_block_leaves_out_are_not_available() -> None:
    readings = values(drive(driver().poll(0), meter(DATA | {"0201FF00": "0523"})))
    assert (readings["voltage_l1"], readings["voltage_l2"]) == (230.5, "<not_available>")


def test_a_block_that_is_no_multiple_of_its_item_is_bad_as_a_whole() -> None:
    readings = values(drive(driver().poll(0), meter(DATA | {"0201FF00": "052316"})))
    assert (readings["voltage_l1"], readings["voltage_l2"]) == ("<length>", "<length>")


def following_meter(parts: list[bytes]) -> Answering:
    """Sends a block in several frames, `parts[0]` first."""

    def answer(exchange: Exchange) -> bytes:
        request = codec.parse(exchange.request.lstrip(b"\xfe"))
        sequence = request.data[4] if request.control == codec.READ_FOLLOWING else 0
        more = 0x20 if sequence < len(parts) - 1 else 0
        control = (0x92 if sequence else 0x91) | more
        tail = bytes([sequence]) if sequence else b""
        return codec.build(codec.Frame(WIRE, control, request.data[:4] + parts[sequence] + tail))

    return answer


def test_an_answer_in_several_frames_is_put_together_across_item_borders() -> None:
    whole = b"".join(encode_bcd(n, 4, 2) for n in range(60))
    points: dict[str, dict[str, object]] = {f"e{n}": {"di": f"0001{n:02X}00", "block": n} for n in range(60)}
    readings = drive(driver(points).poll(0), following_meter([whole[:190], whole[190:230], whole[230:]]))
    assert [r.value for r in readings] == [float(n) for n in range(60)]


def test_an_answer_that_never_ends_is_given_up() -> None:
    points: dict[str, dict[str, object]] = {"e": {"di": "00010000", "block": 0}}
    count = 0
    answering = following_meter([b"\x00"] * 300)

    def endless(exchange: Exchange) -> bytes | DriverError:
        nonlocal count
        count += 1
        return answering(exchange)

    assert drive(driver(points).poll(0), endless)[0].quality is Quality.BAD
    assert count < 20


def test_items_of_one_block_must_have_one_size() -> None:
    with pytest.raises(ValueError, match="same size"):
        driver(
            {
                "voltage_l1": {"di": "02010100", "bytes": 2, "block": 0},
                "voltage_l2": {"di": "02010200", "bytes": 3, "block": 1},
            }
        )


@pytest.mark.parametrize("address", ["1234", "AAAAAAAAAAAA", "999999999999", "20221130441x"])
def test_an_address_is_twelve_digits_and_not_the_broadcast(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Dlt645Device(id="a", space="s", line="l", profile="p", protocol="dlt645", address=address)


# --- a meter of another implementation, over a real connection ---


@pytest.fixture
def peer() -> Iterator[Callable[[Exchange], bytes]]:
    disable_logging()
    service = MeterServerService.new_tcp_server("127.0.0.1", 0)
    service.set_address(bytes(WIRE))
    service.set_00(0x00010000, 1122.33)
    service.set_02(0x02010100, 230.5)
    service.set_02(0x02030000, -12.5634)
    service.set_02(0x02800002, 50.02)
    assert service.start()
    try:
        with socket.create_connection(("127.0.0.1", service.server.port), timeout=5) as link:

            def exchange(asked_for: Exchange) -> bytes:
                link.sendall(asked_for.request)
                came = b""
                while asked_for.deframe(came).frame is None:
                    came += link.recv(7)
                return came

            yield exchange
    finally:
        service.stop()


def test_a_meter_of_another_implementation_is_read_over_tcp(peer: Callable[[Exchange], bytes]) -> None:
    points: dict[str, dict[str, object]] = {
        "energy_import": {"di": "00010000"},
        "voltage_l1": {"di": "02010100", "bytes": 2, "decimals": 1},
        "active_power": {"di": "02030000", "bytes": 3, "decimals": 4, "signed": True},
        "frequency": {"di": "02800002", "bytes": 2, "decimals": 2},
        "unknown": {"di": "00FE0000"},
    }
    readings = values(drive(driver(points, TCP).poll(0), peer))
    assert readings == {
        "energy_import": 1122.33,
        "voltage_l1": 230.5,
        "active_power": -12.5634,
        "frequency": 50.02,
        "unknown": "<not_supported>",
    }
