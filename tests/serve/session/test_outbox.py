"""What a slow reader gets: the newest partials, every final, all stable text."""

import asyncio
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from emf.serve.session.events import Ended, Event, Failed, Final, Marked, Partial, Passage, StableGrew
from emf.serve.session.outbox import Outbox


def passage(text: str, stable: int) -> Passage:
    return Passage(text, text[:stable], (), 0.0, 0.0)


def partial(segment: int, text: str, stable: int) -> Partial:
    return Partial(0, segment, passage(text, stable), 0.0)


def final(segment: int, text: str) -> Final:
    return Final(0, segment, passage(text, len(text)), False, 0.0)


async def read(outbox: Outbox, most: int = 1_000_000) -> list[Event]:
    found: list[Event] = []
    while len(found) < most and (event := await outbox.take()) is not None:
        found.append(event)
    return found


@st.composite
def speech(draw: st.DrawFn) -> list[Event | int]:
    """Segments whose text and stable text grow; integers say how many events are read just there."""
    said: list[Event | int] = []
    for segment in range(draw(st.integers(1, 3))):
        text, stable = "", 0
        for _ in range(draw(st.integers(0, 4))):
            text = text[:stable] + draw(st.text("abc", min_size=1, max_size=4))
            stable = draw(st.integers(stable, len(text)))
            said += [partial(segment, text, stable), draw(st.sampled_from([0, 1, 9]))]
        said += [final(segment, text), draw(st.sampled_from([0, 1, 9])), Marked(segment)]
    return [*said, Ended(())]


@given(speech())
def test_whatever_the_readers_pace(said: list[Event | int]) -> None:
    async def run() -> list[Event]:
        outbox, found = Outbox(), list[Event]()
        for one in said:
            if isinstance(one, int):
                for _ in range(one):
                    if not outbox.is_empty:
                        found += await read(outbox, 1)
            else:
                outbox.put(one)
        return found + await read(outbox)

    found = asyncio.run(run())
    finals = [event for event in said if isinstance(event, Final)]
    assert [event for event in found if isinstance(event, Final | Marked | Ended)] == [
        event for event in said if isinstance(event, Final | Marked | Ended)
    ]
    for last in finals:
        grown = [e.text for e in found if isinstance(e, StableGrew) and e.segment == last.segment]
        assert "".join(grown) == last.passage.text
        behind = found[found.index(last) :]
        assert not [e for e in behind if isinstance(e, Partial | StableGrew) and e.segment == last.segment]


def test_unread_partials_are_replaced() -> None:
    async def run() -> list[Event]:
        outbox = Outbox()
        for length in range(1, 1000):
            outbox.put(partial(0, "a" * length, 0))
        outbox.put(Ended(()))
        return await read(outbox)

    assert asyncio.run(run()) == [partial(0, "a" * 999, 0), Ended(())]


def test_channels_do_not_replace_each_other() -> None:
    async def run() -> list[Event]:
        outbox = Outbox()
        outbox.put(partial(0, "left", 0))
        outbox.put(replace(partial(0, "right", 0), channel=1))
        outbox.put(Ended(()))
        return await read(outbox)

    assert len(asyncio.run(run())) == 3


def test_a_client_that_never_reads_is_given_up() -> None:
    async def run() -> list[Event]:
        outbox = Outbox()
        for place in range(100_000):
            outbox.put(Marked(place))
        return await read(outbox)

    (failed,) = asyncio.run(run())
    assert isinstance(failed, Failed)
    assert failed.code == "slow_client"
