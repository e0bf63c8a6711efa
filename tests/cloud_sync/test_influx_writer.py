"""One write is one request; what the network does to it."""

import asyncio
import gzip
import logging
import socket
import threading
from contextlib import asynccontextmanager

import pytest

from cloud_sync.errors import Blocked, NoConnection, Rejected, Throttled, Unreachable, UploadError
from cloud_sync.influx import InfluxWriter
from cloud_sync.loopback import Answer, LoopbackServer
from tests.cloud_sync.memory_outbox import destination

TOKEN = "canary-token-0123456789"
LINE = b"m v=1.0 1"


class Script:
    """Answers writes from a list, the last of it for ever; keeps the requests."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def __call__(self, request):
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@asynccontextmanager
async def writer_for(url, **changes):
    async with InfluxWriter(destination(url, **changes), TOKEN) as writer:
        yield writer


async def test_a_write_is_one_gzipped_post_with_token_org_bucket_and_precision():
    script = Script(Answer(204))
    async with LoopbackServer(script) as server, writer_for(server.url + "/influx") as writer:
        await writer.write(LINE)
        await writer.write(LINE)
    first, second = script.requests
    assert (first.method, first.path) == ("POST", "/influx/api/v2/write")
    assert first.query == {"org": "linwei", "bucket": "schools", "precision": "ms"}
    assert first.headers["authorization"] == f"Token {TOKEN}"
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["content-type"] == "text/plain"
    assert gzip.decompress(first.body) == LINE
    assert first.body == second.body


async def test_nothing_is_repeated_by_the_library():
    script = Script(Answer(503, b"", {"Retry-After": "7"}))
    async with LoopbackServer(script) as server, writer_for(server.url) as writer:
        with pytest.raises(Throttled) as caught:
            await writer.write(LINE)
    assert caught.value.retry_after == 7_000
    assert len(script.requests) == 1


async def test_a_redirect_is_not_followed_and_the_token_stays_here():
    elsewhere = Script(Answer(204))
    async with LoopbackServer(elsewhere) as other:
        for status in (301, 302, 307, 308):
            script = Script(Answer(status, b"", {"Location": other.url}))
            async with LoopbackServer(script) as server, writer_for(server.url) as writer:
                with pytest.raises(Unreachable, match="redirected"):
                    await writer.write(LINE)
    assert elsewhere.requests == []


async def test_success_of_another_kind_is_no_success():
    page = Answer(200, "<html>登录</html>".encode("gb18030"), {"Content-Type": "text/html"})
    async with LoopbackServer(Script(page)) as server, writer_for(server.url) as writer:
        with pytest.raises(Unreachable, match="intercepted"):
            await writer.write(LINE)


async def test_a_refused_line_and_a_refused_token_are_told_apart():
    script = Script(
        Answer.json(422, {"message": "partial write"}), Answer.json(401, {"message": "unauthorized"})
    )
    async with LoopbackServer(script) as server, writer_for(server.url) as writer:
        with pytest.raises(Rejected):
            await writer.write(LINE)
        with pytest.raises(Blocked):
            await writer.write(LINE)


async def test_no_listener_no_name_and_a_reset_are_unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        urls = [f"http://127.0.0.1:{unused.getsockname()[1]}", "http://district.invalid"]
        for url in urls:
            async with writer_for(url) as writer:
                with pytest.raises(NoConnection) as caught:
                    await writer.write(LINE)
                assert not caught.value.timed_out
    async with LoopbackServer(Script(None)) as server, writer_for(server.url) as writer:
        with pytest.raises(Unreachable) as caught:
            await writer.write(LINE)
        assert not isinstance(caught.value, NoConnection), "it came, and broke"


async def test_a_server_that_does_not_answer_times_out_and_the_next_write_uses_a_new_connection():
    accepted = []

    async def serve(reader, writer):
        accepted.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        if len(accepted) == 1:
            return
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, writer_for(url, read_timeout="200ms") as writer:
        with pytest.raises(Unreachable) as caught:
            await writer.write(LINE)
        assert caught.value.timed_out
        await writer.write(LINE)
    assert len(accepted) == 2
    for one in accepted:
        one.close()


async def test_an_answer_that_trickles_for_ever_is_broken_off():
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.02)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, writer_for(url, read_timeout="100ms", connect_timeout="100ms") as writer:
        with pytest.raises(Unreachable) as caught:
            await writer.write(LINE)
        assert caught.value.timed_out


async def test_cancelling_and_closing_break_a_request_under_way_and_join_the_thread():
    arrived = asyncio.Event()

    async def hang(request):
        arrived.set()
        await asyncio.sleep(60)

    async with LoopbackServer(hang) as server:
        writer = InfluxWriter(destination(server.url, read_timeout="10m"), TOKEN)
        task = asyncio.ensure_future(writer.write(LINE))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await writer.aclose()
    assert not [one for one in threading.enumerate() if one.name.startswith("influx-")]


async def test_a_certificate_that_nobody_signed_is_refused_before_anything_is_sent(unsigned):
    script = Script(Answer(204))
    async with LoopbackServer(script, tls=unsigned) as server, writer_for(server.url) as writer:
        with pytest.raises(Unreachable, match=r"(?i)certificate") as caught:
            await writer.write(LINE)
        assert not isinstance(caught.value, NoConnection), "a handshake is work for the server"
    assert script.requests == []


async def test_the_token_is_in_no_log_and_no_error(caplog):
    caplog.set_level(logging.DEBUG)
    script = Script(
        Answer.json(401, {"message": "no"}),
        Answer(500, b"<html>"),
        Answer(302, b"", {"Location": "http://x"}),
        None,
    )
    async with LoopbackServer(script) as server, writer_for(server.url) as writer:
        for _ in range(5):
            caplog.set_level(logging.DEBUG, "urllib3")  # the library turns it down when it starts
            with pytest.raises(UploadError) as caught:
                await writer.write(LINE)
            assert TOKEN not in str(caught.value) + repr(caught.value)
        assert TOKEN not in repr(writer)
    assert "/api/v2/write" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("token", ["", "two\nlines", "令牌"])
def test_a_token_that_cannot_be_a_header_is_refused(token):
    with pytest.raises(ValueError, match="token"):
        InfluxWriter(destination(), token)
