"""The phases of a stream in a scheduler: what callers, workers, time and the garbage collector make of it."""

from collections.abc import Callable

import pytest

from emf.runtime import Recognizer, StreamClosed, UsageError
from emf.runtime.engine.slot import OnResult, Slot, SlotPhase
from tests.runtime.conftest import Load
from tests.runtime.engine.desk import Desk

LISTENING, FINISHED, RELEASED = SlotPhase


@pytest.fixture(scope="module")
def recognizer(load: Load) -> Recognizer:
    return load(backend="onnxruntime", beam_width=2, step_max_tokens=5, frontend="windowed")


@pytest.fixture
def desk(recognizer: Recognizer) -> Desk:
    return Desk(recognizer)


def feed(desk: Desk, slot: Slot) -> None:
    desk.feed_chunks(slot, 1)


def finish(desk: Desk, slot: Slot) -> None:
    desk.scheduler.finish(slot)


def release(desk: Desk, slot: Slot) -> None:
    desk.scheduler.release(slot)


def expire(desk: Desk, slot: Slot) -> None:
    desk.clock.advance(5.0)
    desk.admit()


def lose(desk: Desk, slot: Slot) -> None:
    slot.abandon()
    desk.admit()


def decode(desk: Desk, slot: Slot) -> None:
    desk.complete(desk.batch())


def end(desk: Desk, slot: Slot) -> None:
    batch = desk.batch()
    desk.complete(batch, ended=batch)


def break_off(desk: Desk, slot: Slot) -> None:
    batch = desk.batch()
    desk.complete(batch, failed=batch)


def break_down(desk: Desk, slot: Slot) -> None:
    desk.scheduler.fail(LookupError("a bug"))


def close(desk: Desk, slot: Slot) -> None:
    desk.scheduler.close(grace=0.0)


@pytest.mark.parametrize(
    ("actions", "phase", "count"),
    [
        ([], LISTENING, None),
        ([feed], LISTENING, None),
        ([feed, decode], LISTENING, None),
        ([feed, expire], LISTENING, None),
        ([finish], FINISHED, None),
        ([feed, finish, decode], FINISHED, None),
        ([feed, decode, expire], FINISHED, "timed_out"),
        ([close], FINISHED, None),
        ([release], RELEASED, "abandoned"),
        ([lose], RELEASED, "abandoned"),
        ([feed, break_off], RELEASED, "failed"),
        ([break_down], RELEASED, "failed"),
        ([finish, end], RELEASED, "finished"),
        ([finish, release], RELEASED, "abandoned"),
        ([finish, lose], RELEASED, "abandoned"),
        ([finish, break_off], RELEASED, "failed"),
        ([finish, break_down], RELEASED, "failed"),
        ([close, end], RELEASED, "finished"),
        *[
            ([finish, end, action], RELEASED, "finished")
            for action in (finish, release, lose, expire, break_down, close)
        ],
    ],
    ids=lambda value: "-".join(action.__name__ for action in value) if isinstance(value, list) else None,
)
def test_phases(desk: Desk, actions: list[Callable[[Desk, Slot], None]], phase: SlotPhase, count: str | None) -> None:
    slot = desk.admit()
    for action in actions:
        action(desk, slot)
    assert slot.phase is phase
    counts = {name: getattr(desk.metrics, name) for name in ("finished", "failed", "abandoned", "timed_out")}
    assert counts == {name: int(name == count) for name in counts}


def test_a_stream_restored_after_its_input_was_over_starts_finished(recognizer: Recognizer, desk: Desk) -> None:
    first = desk.admit()
    desk.scheduler.finish(first)
    restored = recognizer.restore_stream(desk.scheduler.snapshot(first))
    assert desk.scheduler.admit(restored, None).phase is FINISHED
    assert desk.metrics.ready == 2


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("on_result", [None, lambda result: None], ids=["handle", "callback"])
def test_a_lost_handle_releases_the_stream_unless_a_callback_gets_the_rest(
    desk: Desk, on_result: OnResult | None, finished: bool
) -> None:
    lost = desk.admit(on_result)
    desk.feed_chunks(lost, 1)
    if finished:
        desk.scheduler.finish(lost)
    lost.abandon()
    assert lost.phase is not RELEASED, "the garbage collector only leaves a note"
    desk.admit()
    assert (lost.phase is RELEASED) == (on_result is None or not finished)


def test_a_worker_finds_lost_and_idle_streams_too(desk: Desk) -> None:
    lost, idle = desk.admit(), desk.admit()
    lost.abandon()
    desk.clock.advance(5.0)
    assert desk.scheduler.schedule() == [idle]
    assert (lost.phase, idle.phase, idle.timed_out) == (RELEASED, FINISHED, True)


def test_idle_is_counted_from_the_last_audio(desk: Desk) -> None:
    slot = desk.admit()
    desk.clock.advance(4.0)
    desk.feed(slot, 1)
    desk.clock.advance(4.9)
    desk.admit()
    assert slot.phase is LISTENING
    desk.clock.advance(0.2)
    desk.admit()
    assert slot.phase is FINISHED


def test_a_stream_that_is_just_being_fed_is_not_idle(desk: Desk) -> None:
    slot = desk.admit()
    desk.clock.advance(5.0)
    with slot.input_lock:
        desk.admit()
    assert (slot.phase, desk.metrics.timed_out) == (LISTENING, 0)


def test_why_a_stream_takes_no_more_audio(desk: Desk) -> None:
    idle, finished, released = desk.admit(), desk.admit(), desk.admit()
    desk.scheduler.finish(finished)
    desk.scheduler.release(released)
    expire(desk, idle)
    for slot, error, text in (
        (idle, StreamClosed, "no audio came for 5 seconds: the stream was finished"),
        (finished, UsageError, "input_finished"),
        (released, StreamClosed, "the stream is closed and takes no more audio"),
    ):
        with pytest.raises(error, match=text):
            desk.feed(slot, 1)
    end(desk, idle)
    assert idle.phase is RELEASED
    with pytest.raises(StreamClosed, match="no audio came for 5 seconds"):
        desk.feed(idle, 1)
