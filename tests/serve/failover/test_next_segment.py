"""How much audio completes the next segment, told late and only now and then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.serve.failover.next_segment import NextSegment

FIRST, SEGMENT = 200, 160
"""Milliseconds of audio until the first segment is complete, and of each segment."""


def missing_after(came: int) -> int:
    """What a worker tells."""
    end = FIRST
    while end <= came:
        end += SEGMENT
    return end - came


@given(pieces=st.lists(st.tuples(st.integers(1, 700), st.booleans()), min_size=1, max_size=60), late=st.integers(0, 3))
def test_it_knows_what_the_worker_would_tell(pieces: list[tuple[int, bool]], late: int) -> None:
    """The worker tells now and then, and has not taken the last `late` pieces when it does."""
    next_segment, lengths, is_told = NextSegment(), [length for length, _ in pieces], False
    for number, (length, tells) in enumerate(pieces, 1):
        next_segment.add(length / 1e3)
        if tells:
            taken = lengths[: max(number - late, 0)]
            next_segment.told(sum(lengths[len(taken) : number]) / 1e3, missing_after(sum(taken)) / 1e3)
            is_told = True
        expected = missing_after(sum(lengths[:number])) / 1e3 if is_told else 0.0
        assert next_segment.missing(SEGMENT / 1e3) == pytest.approx(expected, abs=1e-5)
