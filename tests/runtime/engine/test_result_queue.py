"""Results from one writer to one reader, in a thread or an event loop: none that matters is lost."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.engine.result_queue import ResultQueue
from emf.runtime.errors import StreamClosed
from emf.runtime.recognition.result import Result


def result(segment: int, text: str = "") -> Result:
    return Result(text, (), (), (), (), (), 0.0, False, "", segment, 0.0, ())


def read(queue: ResultQueue) -> Iterator[Result]:
    while (found := queue.take(30.0)) is not None:
        yield found


@given(segments=st.lists(st.integers(1, 3), max_size=8))
def test_a_slow_reader_sees_the_last_result_of_every_segment(segments: list[int]) -> None:
    queue = ResultQueue()
    for segment, count in enumerate(segments):
        for number in range(count):
            queue.put(result(segment, str(number)))
    queue.end()
    assert [(r.segment, r.text) for r in read(queue)] == [(s, str(count - 1)) for s, count in enumerate(segments)]


def test_a_fast_reader_sees_all() -> None:
    queue = ResultQueue()
    for text in "abc":
        queue.put(result(0, text))
        found = queue.take()
        assert found is not None
        assert found.text == text
    assert queue.latest is not None
    assert queue.latest.text == "c"


def test_reading_in_a_thread_ends_when_the_stream_does() -> None:
    queue = ResultQueue()
    with ThreadPoolExecutor(1) as pool:
        texts = pool.submit(lambda: [r.text for r in read(queue)])
        for segment in range(50):
            queue.put(result(segment, str(segment)))
        queue.end()
        assert texts.result(30.0) == [str(segment) for segment in range(50)]


def test_an_error_comes_after_what_was_said() -> None:
    queue = ResultQueue()
    queue.put(result(0, "a"))
    queue.end(StreamClosed("gone"))
    queue.end(ValueError("only the first end counts"))
    queue.put(result(1, "too late"))
    assert queue.take() == result(0, "a")
    for _ in range(2):
        with pytest.raises(StreamClosed, match="gone"):
            queue.take()
    with pytest.raises(StreamClosed, match="gone"):
        queue.wait_for_end()


def test_waiting_in_vain() -> None:
    queue = ResultQueue()
    with pytest.raises(TimeoutError):
        queue.take(timeout=0.0)
    with pytest.raises(TimeoutError):
        queue.wait_for_end(timeout=0.0)


def test_waiting_for_the_end_reads_nothing() -> None:
    queue = ResultQueue()
    queue.put(result(0, "a"))
    queue.end()
    assert queue.wait_for_end() == result(0, "a")
    assert [r.text for r in read(queue)] == ["a"]
    assert queue.take() is None


def test_an_event_loop_is_woken_by_another_thread() -> None:
    queue = ResultQueue()

    async def read_all(started: asyncio.Event) -> list[str]:
        texts = []
        started.set()
        while (found := await queue.take_async()) is not None:
            texts.append(found.text)
        return texts

    async def main() -> list[str]:
        started = asyncio.Event()
        reader = asyncio.create_task(read_all(started))
        await started.wait()
        with ThreadPoolExecutor(1) as pool:
            for segment in range(20):
                await asyncio.wrap_future(pool.submit(queue.put, result(segment, str(segment))))
            await asyncio.wrap_future(pool.submit(queue.end))
        return await asyncio.wait_for(reader, 60.0)

    assert asyncio.run(main()) == [str(segment) for segment in range(20)]


def test_a_reader_that_gives_up_leaves_nothing_behind() -> None:
    queue = ResultQueue()

    async def give_up() -> None:
        reader = asyncio.create_task(queue.take_async())
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader

    for _ in range(3):
        asyncio.run(give_up())
    assert not queue._wakers
    queue.put(result(0, "a"))
    assert queue.take() == result(0, "a")


def test_a_loop_that_was_closed_does_not_disturb_the_writer() -> None:
    queue, loop = ResultQueue(), asyncio.new_event_loop()
    reader = loop.create_task(queue.take_async())
    loop.run_until_complete(asyncio.sleep(0))
    task_wakers = list(queue._wakers)
    reader.cancel()
    loop.run_until_complete(asyncio.gather(reader, return_exceptions=True))
    loop.close()
    for wake in task_wakers:
        wake()
