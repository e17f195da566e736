"""The engine's policy: when batches start, who is in them, and that nobody starves."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.engine.batching import ChunkClock, choose, start_time


@dataclass(frozen=True)
class Waiting:
    ready_since: float
    due: float


def test_a_chunk_waits_for_others_but_not_for_long() -> None:
    ready = [Waiting(1.00, 1.00), Waiting(1.01, 1.01)]
    assert start_time(ready, 0.020, 0.160, 0.030) == pytest.approx(1.020)


def test_it_waits_less_where_the_batch_takes_long() -> None:
    """The batch may take half as long again as expected and still be within the deadline."""
    assert start_time([Waiting(1.0, 1.0)], 0.100, 0.160, 0.080) == pytest.approx(1.0 + 0.160 - 1.5 * 0.080)


def test_one_that_is_late_starts_the_batch() -> None:
    assert start_time([Waiting(5.0, 5.0), Waiting(4.99, 1.0)], 0.1, 0.160, 0.01) < 4.99


def test_without_streams_there_is_no_batch() -> None:
    assert start_time([], 0.02, 0.16, 0.0) == math.inf


@given(gaps=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_a_chunk_is_due_when_it_came_and_no_faster_than_speech(gaps: list[float]) -> None:
    clock, now = ChunkClock(0.16), 10.0
    arrivals = []
    for gap in gaps:
        now += gap
        clock.arrived(now)
        arrivals.append(now)
    due = list(clock.waiting)
    assert all(d >= a for d, a in zip(due, arrivals, strict=True))
    assert all(later - earlier >= 0.16 / 1.25 - 1e-9 for earlier, later in pairwise(due))
    assert due[0] == arrivals[0]


def test_real_time_audio_is_due_when_it_comes_again_soon_after_a_hiccup() -> None:
    """A network that delivers two chunks at once moves the clock for a moment only."""
    clock, period = ChunkClock(0.16), 0.16
    arrivals = [period * i for i in range(20)]
    arrivals[3] = arrivals[4]
    for arrival in arrivals:
        clock.arrived(arrival)
    late = [due - arrival for due, arrival in zip(clock.waiting, arrivals, strict=True)]
    assert late[3] == 0.0
    assert late[4] == pytest.approx(period / 1.25)
    assert max(late[9:]) == 0.0


@dataclass
class Speaker:
    """A stream of the simulation: its waiting chunks and how many were decoded."""

    chunks: ChunkClock = field(default_factory=lambda: ChunkClock(1.0))
    ready_since: float = 0.0
    decoded: int = 0

    @property
    def due(self) -> float:
        return self.chunks.waiting[0]


def test_a_whole_recording_sent_at_once_does_not_delay_those_who_speak() -> None:
    """Batches of two, three streams: two speak in real time, one has sent an hour."""
    speaking, bulk = [Speaker(), Speaker()], Speaker()
    for _ in range(3600):
        bulk.chunks.arrived(0.0)
    worst = 0.0
    for second in range(200):
        for speaker in speaking:
            speaker.chunks.arrived(second)
        for part in (0.1, 0.4, 0.7):  # three batches of at most two streams in a second
            for speaker in choose([s for s in (bulk, *speaking) if s.chunks.waiting], 2):
                due = speaker.chunks.waiting.popleft()
                speaker.decoded += 1
                if speaker is not bulk:
                    worst = max(worst, second + part - due)
    assert worst < 0.8
    assert [speaker.decoded for speaker in speaking] == [200, 200]
    assert bulk.decoded >= 400, "what room there is goes to the recording: two batches of three have some"


@given(count=st.integers(1, 20), batch=st.integers(1, 5))
def test_under_overload_every_stream_gets_its_share(count: int, batch: int) -> None:
    """Far more streams than can be carried: nobody is more than two turns behind another."""
    speakers = [Speaker() for _ in range(count)]
    for second in range(60):
        for speaker in speakers:
            speaker.chunks.arrived(second)
        for speaker in choose([s for s in speakers if s.chunks.waiting], batch):
            speaker.chunks.waiting.popleft()
            speaker.decoded += 1
    assert max(s.decoded for s in speakers) - min(s.decoded for s in speakers) <= 2
