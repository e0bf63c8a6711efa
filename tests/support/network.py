"""Two networks of their own, a school's and a district's, joined by a link that a test spoils.

    async with networks() as network:
        network.link.delay_s, network.link.loss = 0.3, 0.1
        gateway.prefix = network.school.command

Each is a network namespace; the link is a TUN device in each, and its packets pass through
this process. What a test runs in the ordinary network is reached from inside by `relay`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import itertools
import os
import random
import socket
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

SCHOOL, DISTRICT = "10.77.0.1", "10.77.0.2"
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000
_LONGEST_QUEUE_S = 2.0
"""What would wait longer for the link's rate is dropped, as a router drops it."""
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Namespace:
    """One network, with an address on the link."""

    name: str
    address: str

    @property
    def command(self) -> Sequence[str]:
        """What a command line begins with to run in it."""
        return ("ip", "netns", "exec", self.name)

    def do(self, work: Callable[[], T]) -> T:
        """What `work` gives when a thread of this network does it: sockets stay where they are made."""
        results: list[T] = []

        def enter() -> None:
            with open(f"/run/netns/{self.name}") as file:
                library = ctypes.CDLL(None, use_errno=True)
                if library.setns(file.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            results.append(work())

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        return results[0]

    def listen(self, address: str, port: int) -> socket.socket:
        """A socket that listens inside."""
        return self.do(lambda: socket.create_server((address, port)))

    def socket(self) -> socket.socket:
        """A socket that will connect from inside."""
        made = self.do(socket.socket)
        made.setblocking(False)
        return made


@dataclass
class Link:
    """The way between the two; everything may be changed while packets pass.

    `delay_s` and `jitter_s` count one way, `loss` is the share of packets that vanish in each
    direction, `rate` bits per second. While `up` is false everything vanishes and nobody is told.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    rate: float | None = None
    up: bool = True
    chance: random.Random = field(default_factory=lambda: random.Random(20261124))
    passed: int = 0
    lost: int = 0
    _free_at: dict[int, float] = field(default_factory=dict)

    def join(self, one: int, other: int) -> None:
        """Moves packets between two TUN devices until they are closed."""
        loop = asyncio.get_running_loop()
        loop.add_reader(one, self._move, one, other)
        loop.add_reader(other, self._move, other, one)

    def _move(self, source: int, target: int) -> None:
        packet = os.read(source, 65536)
        loop = asyncio.get_running_loop()
        now = loop.time()
        begins = max(now, self._free_at.get(source, 0.0))
        if not self.up or self.chance.random() < self.loss or begins - now > _LONGEST_QUEUE_S:
            self.lost += 1
            return
        self.passed += 1
        ends = begins + (len(packet) * 8 / self.rate if self.rate else 0.0)
        self._free_at[source] = ends
        loop.call_at(
            ends + self.delay_s + self.chance.uniform(0, self.jitter_s), self._deliver, target, packet
        )

    @staticmethod
    def _deliver(target: int, packet: bytes) -> None:
        with contextlib.suppress(OSError):  # the test has ended meanwhile
            os.write(target, packet)


@dataclass(frozen=True)
class Network:
    """Both networks and what is between them."""

    school: Namespace
    district: Namespace
    link: Link


def _tun(namespace: Namespace) -> int:
    def make() -> int:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", b"uplink", _IFF_TUN_NO_PI))
        return descriptor

    descriptor = namespace.do(make)
    for arguments in (
        ["addr", "add", f"{namespace.address}/24", "dev", "uplink"],
        ["link", "set", "uplink", "up"],
        ["link", "set", "lo", "up"],
    ):
        subprocess.run(["ip", "-n", namespace.name, *arguments], check=True)
    return descriptor


@contextlib.contextmanager
def _namespace(role: str, address: str) -> Iterator[Namespace]:
    made = Namespace(f"campus-{os.getpid()}-{next(_NUMBERS)}-{role}", address)
    subprocess.run(["ip", "netns", "add", made.name], check=True)
    try:
        yield made
    finally:
        subprocess.run(["ip", "netns", "delete", made.name], check=True)


@contextlib.asynccontextmanager
async def networks() -> AsyncIterator[Network]:
    """Both networks with a sound link; whatever runs in them must have ended with the block."""
    with _namespace("school", SCHOOL) as school, _namespace("district", DISTRICT) as district:
        ends = [_tun(school), _tun(district)]
        link = Link()
        link.join(*ends)
        try:
            yield Network(school, district, link)
        finally:
            for end in ends:
                asyncio.get_running_loop().remove_reader(end)
                os.close(end)


@contextlib.asynccontextmanager
async def relay(
    listening: socket.socket, port: int, connect: Callable[[], socket.socket] = socket.socket
) -> AsyncIterator[None]:
    """Hands each connection of a listening socket on to 127.0.0.1:`port`, as the socket that `connect`
    makes sees it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = await asyncio.to_thread(connect)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            writer.transport.abort()
            return
        onward, back = await asyncio.open_connection(sock=sock)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pour(reader, back))
                group.create_task(_pour(onward, writer))
        finally:
            for one in (writer, back):
                one.transport.abort()

    server = await asyncio.start_server(serve, sock=listening)
    try:
        yield
    finally:
        server.close()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.write_eof()
