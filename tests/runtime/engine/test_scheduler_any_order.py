"""A scheduler whose callers and workers act in any order: every stream and every chunk is accounted for."""

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from emf.runtime import Overloaded, Recognizer
from emf.runtime.engine.slot import Slot, SlotPhase
from tests.runtime.conftest import Load
from tests.runtime.engine.desk import MAX_BATCH, MAX_STREAMS, PERIOD, SEGMENT, WINDOW, Desk


class AnyOrder(RuleBasedStateMachine):
    """Callers and two workers in any order; workers hand in whatever outcome they like."""

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self.desk = Desk(recognizer)
        self.slots: list[Slot] = []
        self.samples: dict[Slot, int] = {}
        self.decoded: dict[Slot, int] = {}
        self.phases: dict[Slot, list[SlotPhase]] = {}
        self.batches: list[list[Slot]] = []

    @property
    def in_use(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.phase is not SlotPhase.RELEASED]

    @property
    def ready(self) -> list[Slot]:
        return [slot for slot in self.in_use if slot.has_work and not slot.busy]

    @rule(with_callback=st.booleans())
    def admit(self, with_callback: bool) -> None:
        try:
            slot = self.desk.admit((lambda result: None) if with_callback else None)
        except Overloaded:
            assert len(self.in_use) == MAX_STREAMS
        else:
            self.slots.append(slot)
            self.samples[slot] = self.decoded[slot] = 0
            self.phases[slot] = []

    @rule(data=st.data(), count=st.integers(0, 3 * SEGMENT))
    def feed(self, data: st.DataObject, count: int) -> None:
        if listening := [slot for slot in self.slots if slot.phase is SlotPhase.LISTENING]:
            slot = data.draw(st.sampled_from(listening))
            self.desk.feed(slot, count)
            self.samples[slot] += count

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), action=st.sampled_from(["finish", "release", "abandon"]))
    def end_input(self, data: st.DataObject, action: str) -> None:
        slot = data.draw(st.sampled_from(self.slots))
        actions = {
            "finish": self.desk.scheduler.finish,
            "release": self.desk.scheduler.release,
            "abandon": Slot.abandon,
        }
        actions[action](slot)

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.desk.clock.advance(seconds)

    @precondition(lambda self: len(self.batches) < 2 and any(not slot.is_lost for slot in self.ready))
    @rule()
    def schedule(self) -> None:
        batch = self.desk.batch()
        assert 1 <= len(batch) <= MAX_BATCH
        assert len(set(batch)) == len(batch)
        assert not any(slot in other for other in self.batches for slot in batch)
        assert all(first.due <= second.due for first, second in pairwise(batch))
        self.batches.append(batch)

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        batch = self.batches.pop(data.draw(st.integers(0, len(self.batches) - 1)))
        outcomes = [data.draw(st.sampled_from(["goes on", "goes on", "ended", "failed"])) for _ in batch]
        for slot in batch:
            self.decoded[slot] += bool(slot.chunks.waiting)
        self.desk.complete(
            batch,
            [slot for slot, outcome in zip(batch, outcomes, strict=True) if outcome == "ended"],
            [slot for slot, outcome in zip(batch, outcomes, strict=True) if outcome == "failed"],
        )

    @precondition(lambda self: any(not slot.busy for slot in self.in_use))
    @rule(data=st.data())
    def snapshot(self, data: st.DataObject) -> None:
        assert self.desk.scheduler.snapshot(data.draw(st.sampled_from([slot for slot in self.in_use if not slot.busy])))

    @invariant()
    def metrics_say_what_the_slots_do(self) -> None:
        metrics = self.desk.metrics
        assert metrics.streams == len(self.in_use) <= MAX_STREAMS
        assert metrics.ready == len(self.ready)
        assert metrics.queued_seconds == PERIOD * sum(len(slot.chunks.waiting) for slot in self.slots)
        assert metrics.chunks == sum(self.decoded.values())
        assert metrics.admitted == len(self.slots)
        assert metrics.admitted == metrics.streams + metrics.finished + metrics.failed + metrics.abandoned

    @invariant()
    def phases_only_go_forward(self) -> None:
        for slot, phases in self.phases.items():
            phases.append(slot.phase)
            order = [list(SlotPhase).index(phase) for phase in phases]
            assert order == sorted(order)

    @invariant()
    def busy_streams_are_those_in_batches(self) -> None:
        assert {slot for slot in self.slots if slot.busy} == {slot for batch in self.batches for slot in batch}

    @invariant()
    def every_chunk_waits_or_was_decoded(self) -> None:
        for slot in self.slots:
            if slot.phase is SlotPhase.LISTENING:
                complete = max(0, (self.samples[slot] - WINDOW) // SEGMENT + 1)
                assert len(slot.chunks.waiting) + self.decoded[slot] == complete
            elif slot.phase is SlotPhase.RELEASED:
                assert not slot.chunks.waiting

    def teardown(self) -> None:
        """The engine closes: every stream still in use ends, and the workers are let go."""
        while self.batches:
            self.desk.complete(self.batches.pop())
        self.desk.scheduler.close(grace=0.0)
        while self.desk.metrics.ready and (batch := self.desk.scheduler.schedule()):
            self.desk.complete(batch, ended=[slot for slot in batch if len(slot.chunks.waiting) <= 1])
        assert not self.in_use
        assert self.desk.metrics.queued_seconds == 0.0


@pytest.fixture(scope="module")
def recognizer(load: Load) -> Recognizer:
    return load(backend="onnxruntime", beam_width=2, step_max_tokens=5, frontend="windowed")


def test_in_any_order_every_stream_and_chunk_is_accounted_for(recognizer: Recognizer) -> None:
    class OfRecognizer(AnyOrder):
        def __init__(self) -> None:
            super().__init__(recognizer)

    run_state_machine_as_test(OfRecognizer, settings=settings(max_examples=100, stateful_step_count=40))
