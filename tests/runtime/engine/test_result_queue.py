"""Results from one writer to one reader, in a thread or an event loop: none that matters is lost."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.engine.result_queue import Outbox
from emf.runtime.errors import StreamClosed
from emf.runtime.recognition.result import Result


def result(segment: int, text: str = "") -> Result:
    return Result(text, (), (), (), (), (), 0.0, False, "", segment, 0.0, ())


def read(outbox: Outbox) -> Iterator[Result]:
    while (found := outbox.take(30.0)) is not None:
        yield found


@given(segments=st.lists(st.integers(1, 3), max_size=8))
def test_a_slow_reader_sees_the_last_result_of_every_segment(segments: list[int]) -> None:
    outbox = Outbox()
    for segment, count in enumerate(segments):
        for number in range(count):
            outbox.put(result(segment, str(number)))
    outbox.end()
    assert [(r.segment, r.text) for r in read(outbox)] == [(s, str(count - 1)) for s, count in enumerate(segments)]


def test_a_fast_reader_sees_all() -> None:
    outbox = Outbox()
    for text in "abc":
        outbox.put(result(0, text))
        found = outbox.take()
        assert found is not None
        assert found.text == text
    assert outbox.latest is not None
    assert outbox.latest.text == "c"


def test_reading_in_a_thread_ends_when_the_stream_does() -> None:
    outbox = Outbox()
    with ThreadPoolExecutor(1) as pool:
        texts = pool.submit(lambda: [r.text for r in read(outbox)])
        for segment in range(50):
            outbox.put(result(segment, str(segment)))
        outbox.end()
        assert texts.result(30.0) == [str(segment) for segment in range(50)]


def test_an_error_comes_after_what_was_said() -> None:
    outbox = Outbox()
    outbox.put(result(0, "a"))
    outbox.end(StreamClosed("gone"))
    outbox.end(ValueError("only the first end counts"))
    outbox.put(result(1, "too late"))
    assert outbox.take() == result(0, "a")
    for _ in range(2):
        with pytest.raises(StreamClosed, match="gone"):
            outbox.take()
    with pytest.raises(StreamClosed, match="gone"):
        outbox.wait_for_end()


def test_waiting_in_vain() -> None:
    outbox = Outbox()
    with pytest.raises(TimeoutError):
        outbox.take(timeout=0.0)
    with pytest.raises(TimeoutError):
        outbox.wait_for_end(timeout=0.0)


def test_waiting_for_the_end_reads_nothing() -> None:
    outbox = Outbox()
    outbox.put(result(0, "a"))
    outbox.end()
    assert outbox.wait_for_end() == result(0, "a")
    assert [r.text for r in read(outbox)] == ["a"]
    assert outbox.take() is None


def test_an_event_loop_is_woken_by_another_thread() -> None:
    outbox = Outbox()

    async def read_all(started: asyncio.Event) -> list[str]:
        texts = []
        started.set()
        while (found := await outbox.take_async()) is not None:
            texts.append(found.text)
        return texts

    async def main() -> list[str]:
        started = asyncio.Event()
        reader = asyncio.create_task(read_all(started))
        await started.wait()
        with ThreadPoolExecutor(1) as pool:
            for segment in range(20):
                await asyncio.wrap_future(pool.submit(outbox.put, result(segment, str(segment))))
            await asyncio.wrap_future(pool.submit(outbox.end))
        return await asyncio.wait_for(reader, 30.0)

    assert asyncio.run(main()) == [str(segment) for segment in range(20)]


def test_a_reader_that_gives_up_leaves_nothing_behind() -> None:
    outbox = Outbox()

    async def give_up() -> None:
        reader = asyncio.create_task(outbox.take_async())
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader

    for _ in range(3):
        asyncio.run(give_up())
    assert not outbox._wakers
    outbox.put(result(0, "a"))
    assert outbox.take() == result(0, "a")


def test_a_loop_that_was_closed_does_not_disturb_the_writer() -> None:
    outbox, loop = Outbox(), asyncio.new_event_loop()
    reader = loop.create_task(outbox.take_async())
    loop.run_until_complete(asyncio.sleep(0))
    task_wakers = list(outbox._wakers)
    reader.cancel()
    loop.run_until_complete(asyncio.gather(reader, return_exceptions=True))
    loop.close()
    for wake in task_wakers:
        wake()
