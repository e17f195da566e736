"""Policies of failover, without workers."""

from dataclasses import replace

import pytest

from emf.runtime.recognition.result import Result
from emf.serve.failover.audio_since import AudioSince, Piece
from emf.serve.failover.pace import Pace
from emf.serve.failover.told import Told
from emf.serve.failover.trouble import Trouble, blame
from emf.serve.workers.link import Loss


def result(text: str, stable: str, segment: int, end: float, ends: bool = False) -> Result:
    return Result(text, (), (), (), (), (), 0.0, False, stable, segment, 0.0, (), end, ends)


def test_nothing_is_told_twice_or_taken_back() -> None:
    told = Told()
    one, two = result("a b", "a", 0, 1.0), result("a b c", "a b", 0, 2.0)
    end, next_segment = result("a b c", "a b c", 0, 2.0, ends=True), result("", "", 1, 2.0)
    assert [told.take(r) for r in (one, two)] == [one, two]
    assert [told.take(r) for r in (one, two, end, two, end)] == [None, None, end, None, None]
    assert told.take(next_segment) is next_segment
    assert told.contradictions == 0


def test_text_that_contradicts_what_was_told_is_held() -> None:
    told = Told()
    told.take(result("a b", "a", 0, 1.0))
    held = told.take(result("x b c", "x b", 0, 2.0))
    assert held == replace(result("x b c", "x b", 0, 2.0), text="a", stable_text="a")
    assert told.contradictions == 1


def test_snapshots_cost_no_more_than_their_share() -> None:
    pace = Pace(share=0.03, shortest=2.0, longest=30.0, seconds=0.01)
    assert pace.interval(1) == 2.0
    assert pace.interval(30) == pytest.approx(10.0)
    assert 30 * pace.seconds / pace.interval(30) == pytest.approx(0.03)
    assert pace.interval(1000) == 30.0
    for _ in range(100):
        pace.measured(0.001)
    assert pace.seconds == pytest.approx(0.001, rel=0.01)


def test_who_was_there_is_not_to_blame() -> None:
    """Workers end again and again, and streams say something new between."""
    aboard = [Trouble() for _ in range(4)]
    for _ in range(20):
        blame(aboard, Loss.CRASHED)
        for one in aboard:
            one.clear()
    assert not any(one.is_suspect for one in aboard)


def test_who_is_alone_with_crashes_is_to_blame() -> None:
    guilty, others = Trouble(), [Trouble() for _ in range(3)]
    blame([guilty, *others], Loss.CRASHED)
    others[0].clear()
    blame([guilty, *others], Loss.CRASHED)
    assert [one.is_suspect for one in (guilty, *others)] == [True, False, True, True]
    blame([guilty, others[0]], Loss.CRASHED)
    assert guilty.is_guilty
    assert not any(one.is_guilty for one in others)


def test_workers_killed_from_outside_count_less() -> None:
    unlucky = Trouble()
    for _ in range(4):
        blame([unlucky], Loss.KILLED)
    assert not unlucky.is_guilty
    blame([unlucky], Loss.KILLED)
    assert unlucky.is_guilty


def test_audio_that_a_snapshot_holds_is_not_sent_again() -> None:
    since = AudioSince()
    pieces = [Piece(16_000, bytes([n]), 1.0) for n in range(5)]
    for piece in pieces[:4]:
        since.append(piece)
    since.taken(2)
    assert (since.seconds, since.untaken, since.sent) == (4.0, 2.0, 4)
    since.forget(3)
    since.append(pieces[4])
    assert (list(since), since.seconds, since.untaken, since.sent) == (pieces[3:], 2.0, 2.0, 5)
    since.taken(4)
    assert since.untaken == 1.0
    since.restart()
    assert (since.sent, since.untaken) == (2, 2.0)
    since.taken(99)
    assert since.untaken == 0.0
