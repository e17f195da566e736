"""Many callers at once, each on its own clock."""

import asyncio
import random
from collections.abc import Sequence

from emf.runtime.arrays import FloatArray
from emf.serve.load.alone import Alone
from emf.serve.load.call import MESSAGE_SECONDS, Call, Speaker
from emf.serve.load.client import CallFailed, CallRefused
from emf.serve.load.figures import Load

_SEED = 7
_JOINING = 0.1
"""Share of the time during which callers join: they do not all begin in the same instant."""
_HOPELESS = 8
"""A load that is this many deadlines late cannot recover."""
_PAUSE_AFTER_FAILURE = 1.0


async def run_load(
    server: Speaker,
    recordings: Sequence[FloatArray],
    alone: Sequence[Alone],
    streams: int,
    seconds: float,
    hopeless_after: float | None = None,
) -> Load:
    """Let callers speak one recording after the other, from begin to end.

    Args:
        server: whom to call.
        recordings: mono audio at the client's rate.
        alone: what each of them gave by itself.
        streams: callers at once.
        seconds: after which no caller begins another recording; those that have begun go on to their ends.
        hopeless_after: deadline, seconds, of a search for the most streams: the load ends early where it is far
            exceeded, or where anything is refused or fails.
    """
    load = Load(streams)
    callers = _Callers(server, recordings, alone, load, hopeless_after)
    await callers.run(seconds)
    load.compare(alone)
    return load


class _Callers:
    def __init__(
        self,
        server: Speaker,
        recordings: Sequence[FloatArray],
        alone: Sequence[Alone],
        load: Load,
        hopeless_after: float | None,
    ) -> None:
        self._server, self._recordings, self._alone = server, recordings, alone
        self._load, self._deadline = load, hopeless_after
        self._given_up = asyncio.Event()

    async def run(self, seconds: float) -> None:
        loop, streams, chance = asyncio.get_running_loop(), self._load.streams, random.Random(_SEED)
        begin = loop.time()
        self._load.until = begin + seconds
        joins = [_JOINING * seconds * n / streams + chance.uniform(0, MESSAGE_SECONDS) for n in range(streams)]
        callers = [asyncio.create_task(self._speak(n, begin + join)) for n, join in enumerate(joins)]
        everybody = asyncio.create_task(asyncio.wait(callers, return_when=asyncio.FIRST_EXCEPTION))
        giving_up = asyncio.create_task(self._given_up.wait())
        try:
            await asyncio.wait([everybody, giving_up], return_when=asyncio.FIRST_COMPLETED)
            for caller in callers:
                if caller.done():
                    caller.result()
        finally:
            for task in (*callers, everybody, giving_up):
                task.cancel()
            await asyncio.gather(*callers, everybody, giving_up, return_exceptions=True)

    async def _speak(self, number: int, begin: float) -> None:
        """One caller: recording after recording."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(begin - loop.time())
        turn = number
        while turn == number or loop.time() < self._load.until:
            recording = turn % len(self._recordings)
            pause, tried = 0.0, loop.time()
            try:
                made = await self._server.speak(recording, self._recordings[recording], self._watch)
                self._load.calls.append(made)
            except CallRefused as refused:
                self._load.refusals.append(loop.time() - tried)
                pause = refused.retry_after
                self._count(refused)
            except CallFailed as failure:
                self._load.failed += 1
                pause = _PAUSE_AFTER_FAILURE
                self._count(failure)
            turn += 1
            if pause:
                await asyncio.sleep(min(pause, max(self._load.until - loop.time(), 0.0)))

    def _count(self, failure: CallFailed) -> None:
        self._load.reasons[failure.reason] += 1
        if self._deadline is not None:
            self._give_up()

    def _watch(self, made: Call) -> None:
        """Give a search's load up that is far behind."""
        if self._deadline is None:
            return
        if self._alone[made.recording].lag_of_last(made) > _HOPELESS * self._deadline:
            self._give_up()

    def _give_up(self) -> None:
        self._load.kept_up = False
        self._given_up.set()
