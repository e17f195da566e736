"""The scheduler by itself: when it forms which batches, what it makes of their outcomes, how it ends."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from emf.runtime import Recognizer, StreamClosed
from emf.runtime.engine.batch_outcome import BatchOutcome
from emf.runtime.engine.slot import SlotPhase
from tests.runtime.conftest import Load
from tests.runtime.engine.desk import MAX_BATCH, PERIOD, SEGMENT, WINDOW, Desk, Waits
from tests.signals import SAMPLE_RATE

PATIENCE = 60.0


@pytest.fixture(scope="module")
def recognizer(load: Load) -> Recognizer:
    return load(backend="onnxruntime", beam_width=2, step_max_tokens=5, frontend="windowed")


@pytest.fixture
def desk(recognizer: Recognizer) -> Desk:
    return Desk(recognizer)


def test_a_restored_stream_has_only_its_own_chunks(recognizer: Recognizer, desk: Desk) -> None:
    stream = recognizer.create_stream()
    stream.accept_waveform(SAMPLE_RATE, np.zeros(WINDOW + 2 * SEGMENT, np.float32))
    recognizer.decode_streams([stream])
    slot = desk.scheduler.admit(recognizer.restore_stream(stream.snapshot()), None)
    assert len(slot.chunks.waiting) == 2


def test_a_chunk_waits_for_others_that_may_come(desk: Desk) -> None:
    slot, _other = desk.admit(), desk.admit()
    with pytest.raises(Waits) as nothing_ready:
        desk.scheduler.schedule()
    assert nothing_ready.value.seconds == 1.0, "to look for idle streams"
    desk.feed_chunks(slot, 1)
    desk.clock.advance(0.015)
    with pytest.raises(Waits) as one_ready:
        desk.scheduler.schedule()
    assert one_ready.value.seconds == pytest.approx(0.005)
    desk.clock.advance(0.006)
    assert desk.scheduler.schedule() == [slot]


def test_an_end_waits_for_nobody(desk: Desk) -> None:
    slot, _other = desk.admit(), desk.admit()
    desk.scheduler.finish(slot)
    assert desk.scheduler.schedule() == [slot]


def test_a_full_batch_waits_for_nobody(desk: Desk) -> None:
    slots = [desk.admit() for _ in range(MAX_BATCH + 2)]
    for slot in slots[: MAX_BATCH + 1]:
        desk.feed_chunks(slot, 1)
    assert desk.scheduler.schedule() == slots[:MAX_BATCH]


def test_a_worker_leaves_the_others_their_share(recognizer: Recognizer) -> None:
    """Of many ready streams; a few are one batch."""
    for ready, sizes in [(5, [5]), (9, [8, 1]), (20, [10, 8, 2])]:
        desk = Desk(recognizer, num_workers=2, max_streams=30, max_batch=64)
        for slot in [desk.admit() for _ in range(ready)]:
            desk.feed_chunks(slot, 1)
        assert [len(desk.batch()) for _ in sizes] == sizes


def test_a_busy_stream_is_in_no_other_batch(desk: Desk) -> None:
    first, second = desk.admit(), desk.admit()
    desk.feed_chunks(first, 2)
    assert desk.batch() == [first]
    desk.feed_chunks(second, 1)
    desk.feed(first, SEGMENT)
    assert desk.metrics.ready == 1
    assert desk.batch() == [second]
    desk.complete([second])
    desk.complete([first])
    assert desk.batch() == [first], "it had more chunks"


def test_an_outcome_is_recorded(desk: Desk) -> None:
    slots = [desk.admit() for _ in range(3)]
    for slot in slots:
        desk.feed_chunks(slot, 2)
    batch = desk.scheduler.schedule()
    assert batch == slots
    begin = desk.clock.now()
    desk.clock.advance(0.1)
    desk.scheduler.complete(BatchOutcome(batch, begin, ended=slots[:1], failed=slots[1:2]))
    metrics = desk.metrics
    assert (metrics.streams, metrics.finished, metrics.failed) == (1, 1, 1)
    assert (metrics.chunks, metrics.batches, metrics.ready) == (3, 1, 1)
    assert metrics.queued_seconds == PERIOD, "what the two others had left is gone"
    assert metrics.recent_p50_ms == pytest.approx(100.0)
    assert metrics.headroom == pytest.approx(0.0)


def test_a_batch_without_a_chunk_is_not_measured(desk: Desk) -> None:
    slot = desk.admit()
    desk.scheduler.finish(slot)
    batch = desk.batch()
    desk.complete(batch, ended=batch)
    assert (desk.metrics.finished, desk.metrics.batches) == (1, 0)


@pytest.mark.parametrize("outcome", ["goes on", "ended", "failed"])
def test_a_stream_released_while_busy_counts_once(desk: Desk, outcome: str) -> None:
    slot = desk.admit()
    desk.feed_chunks(slot, 3)
    desk.scheduler.finish(slot)
    batch = desk.batch()
    desk.scheduler.release(slot)
    assert (slot.phase, slot.busy, desk.metrics.streams) == (SlotPhase.RELEASED, True, 0)
    desk.complete(batch, ended=batch if outcome == "ended" else (), failed=batch if outcome == "failed" else ())
    metrics = desk.metrics
    assert (slot.phase, slot.busy) == (SlotPhase.RELEASED, False)
    assert (metrics.abandoned, metrics.finished, metrics.failed) == (1, 0, 0)
    assert (metrics.ready, metrics.queued_seconds, metrics.chunks) == (0, 0.0, 0)
    with pytest.raises(StreamClosed, match="before its end"):
        slot.results.take(0.0)


def test_closing_ends_when_all_is_decoded(desk: Desk) -> None:
    slots = [desk.admit(), desk.admit()]
    desk.feed_chunks(slots[0], 1)
    desk.scheduler.close(grace=0.0)
    batch = desk.scheduler.schedule()
    assert batch is not None
    assert set(batch) == set(slots)
    with pytest.raises(StreamClosed, match="no more streams"):
        desk.admit()
    desk.complete(batch, ended=batch)
    assert desk.scheduler.schedule() is None


def test_a_breakdown_ends_everything(desk: Desk) -> None:
    slots = [desk.admit(), desk.admit()]
    desk.feed_chunks(slots[0], 1)
    batch = desk.batch()
    desk.scheduler.fail(LookupError("a bug"))
    for slot in slots:
        with pytest.raises(LookupError, match="a bug"):
            slot.results.take(0.0)
    desk.complete(batch, ended=batch)
    assert (desk.metrics.failed, desk.metrics.finished, desk.metrics.streams) == (2, 0, 0)
    assert desk.scheduler.schedule() is None


def test_a_snapshot_waits_for_the_step_and_leaves_the_stream_ready(desk: Desk) -> None:
    slot = desk.admit()
    desk.feed_chunks(slot, 2)
    batch = desk.batch()
    with ThreadPoolExecutor(1) as pool:
        snapshot = pool.submit(desk.scheduler.snapshot, slot)
        with pytest.raises(TimeoutError):
            snapshot.result(0.05)
        desk.complete(batch)
        assert snapshot.result(PATIENCE)
    assert (slot.busy, desk.metrics.ready) == (False, 1)


def test_a_stream_is_not_decoded_while_its_snapshot_is_taken(desk: Desk) -> None:
    slot, other = desk.admit(), desk.admit()
    desk.feed_chunks(slot, 1)
    desk.feed_chunks(other, 1)
    with ThreadPoolExecutor(1) as pool:
        with slot.input_lock:
            snapshot = pool.submit(desk.scheduler.snapshot, slot)
            end = time.monotonic() + PATIENCE
            while not slot.busy:
                assert time.monotonic() < end
            assert desk.batch() == [other]
        assert snapshot.result(PATIENCE)
    assert desk.batch() == [slot]


def test_a_snapshot_does_not_wait_for_a_worker_that_broke_down(desk: Desk) -> None:
    slot = desk.admit()
    desk.feed_chunks(slot, 1)
    assert desk.batch() == [slot]
    desk.scheduler.fail(RuntimeError("broken"))
    with pytest.raises(StreamClosed):
        desk.scheduler.snapshot(slot)
