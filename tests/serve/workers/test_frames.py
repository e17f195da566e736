"""Frames arrive whole and in order, however the bytes come."""

import asyncio
import socket
import struct
from itertools import pairwise

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from emf.serve.workers.frames import FrameSocket

LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)
LENGTHS = st.sampled_from((0, 1, 3, 5_000, 2**18 - 5, 2**18 - 4, 2**18 - 3, 700_000))


def frame_of(number: int, length: int) -> bytes:
    return bytes([number % 251 + 1]) * length


def on_the_wire(frames: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(frame)) + frame for frame in frames)


async def receive_all(data: bytes, cuts: list[int]) -> list[bytes]:
    """Frames of bytes that come in pieces, and then end."""
    here, there = socket.socketpair()
    there.setblocking(False)
    frames = await FrameSocket.over(here)

    async def write() -> None:
        loop = asyncio.get_running_loop()
        for begin, end in pairwise([0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]):
            await loop.sock_sendall(there, data[begin:end])
            await asyncio.sleep(0)
        there.close()

    writing = asyncio.create_task(write())
    found = []
    while (frame := await frames.receive()) is not None:
        found.append(bytes(frame))
    await writing
    frames.close()
    return found


@pytest.mark.parametrize("make_loop", LOOPS)
@given(lengths=st.lists(LENGTHS, max_size=6), cuts=st.lists(st.integers(0, 2**22), max_size=8))
@settings(deadline=None, max_examples=60)
def test_frames_come_as_they_were_sent(make_loop: object, lengths: list[int], cuts: list[int]) -> None:
    frames = [frame_of(number, length) for number, length in enumerate(lengths)]
    with asyncio.Runner(loop_factory=make_loop) as runner:  # type: ignore[arg-type]
        assert runner.run(receive_all(on_the_wire(frames), cuts)) == frames


@pytest.mark.parametrize("missing", (1, 3, 6, 600_000))
def test_a_frame_that_is_cut_off_is_none(missing: int) -> None:
    frames = [frame_of(0, 4), frame_of(1, 700_000 if missing > 10 else 2)]
    assert asyncio.run(receive_all(on_the_wire(frames)[:-missing], [])) == frames[:1]


def test_a_frame_that_is_too_long_is_none() -> None:
    async def run() -> None:
        here, there = socket.socketpair()
        frames = await FrameSocket.over(here)
        there.sendall(on_the_wire([bytes(33)]))
        assert await frames.receive(32) is None
        frames.close()
        there.close()

    asyncio.run(run())


@pytest.mark.parametrize("make_loop", LOOPS)
def test_who_waited_in_vain_gets_a_long_frame_later(make_loop: object) -> None:
    async def run() -> None:
        here, there = socket.socketpair()
        there.setblocking(False)
        frames, frame, loop = await FrameSocket.over(here), frame_of(0, 900_000), asyncio.get_running_loop()
        data = on_the_wire([frame])
        await loop.sock_sendall(there, data[:100_000])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await frames.receive()
        sending = asyncio.create_task(loop.sock_sendall(there, data[100_000:] + on_the_wire([b"next"])))
        assert bytes(await frames.receive() or b"") == frame
        assert await frames.receive() == b"next"
        await sending
        frames.close()
        there.close()

    with asyncio.Runner(loop_factory=make_loop) as runner:  # type: ignore[arg-type]
        runner.run(run())


@pytest.mark.parametrize("make_loop", LOOPS)
def test_frames_sent_at_once_are_all_sent(make_loop: object) -> None:
    async def run() -> None:
        ends = socket.socketpair()
        one, other = [await FrameSocket.over(end) for end in ends]
        frames = [frame_of(number, length) for number, length in enumerate((1, 2_000_000, 0, 300_000, 7, 0))]
        for frame in frames:
            one.send(frame)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await one.sent()
        received = [await other.receive() for _ in frames]
        assert [frame if frame is None else bytes(frame) for frame in received] == frames
        await one.sent()
        other.close()
        assert await one.receive() is None
        one.send(b"nobody is there")
        one.close()

    with asyncio.Runner(loop_factory=make_loop) as runner:  # type: ignore[arg-type]
        runner.run(run())
