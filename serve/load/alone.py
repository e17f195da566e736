"""Each recording by itself: the text that a load must give again, and how much audio each part of it needs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from emf.serve.load.call import Call, Update


@dataclass(slots=True)
class Alone:
    """A recording without any load.

    Attributes:
        text: its whole text.
        texts: what was heard on the way, in its order.
        needs: for each of them, after how few messages it ever came. A text cannot come before its audio is sent;
            alone, it comes at once.
    """

    text: str
    texts: tuple[str, ...]
    needs: list[int] = field(repr=False)

    @classmethod
    def of(cls, call: Call) -> "Alone":
        """What a call without load heard."""
        return cls(call.text, tuple(u.text for u in call.updates), [u.sent for u in call.updates])

    def learn(self, call: Call) -> None:
        """Correct `needs` by a call in which a text came after less audio: the first may have been disturbed."""
        for place, update in self._matches(call):
            self.needs[place] = min(self.needs[place], update.sent)

    def lags(self, call: Call, until: float) -> Iterator[float]:
        """For each change of the text: seconds from when its last audio was due to its arrival.

        Args:
            call: the recording under load.
            until: changes after this time, by the loop's clock, do not count. Those that the end of the audio
                brought belong to `Call.final`.
        """
        return (lag for at, lag in self.timed_lags(call) if at <= until)

    def timed_lags(self, call: Call) -> Iterator[tuple[float, float]]:
        """As `lags`: when each change came, by the loop's clock, and its lag."""
        for place, update in self._matches(call):
            if self.needs[place] <= call.num_messages:
                yield call.begin + update.at, update.at - call.due(self.needs[place])

    def lag_of_last(self, call: Call) -> float:
        """At least how late the latest change of a call's text came, seconds."""
        last = call.updates[-1]
        needs = [needed for text, needed in zip(self.texts, self.needs, strict=True) if text == last.text]
        return last.at - call.due(max(needs, default=last.sent))

    def _matches(self, call: Call) -> Iterable[tuple[int, Update]]:
        """Changes that came alone, too: a slow client does not get all of them, and a wrong text is counted apart."""
        begin = 0
        for update in call.updates:
            try:
                begin = self.texts.index(update.text, begin) + 1
            except ValueError:
                continue
            yield begin - 1, update
