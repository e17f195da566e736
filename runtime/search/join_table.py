"""The joiner's answers for a stream's hypotheses at the frames of one step, asked for in few calls."""

from collections.abc import Sequence

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.search.hypothesis import Hypothesis
from emf.runtime.search.model import Joined
from emf.runtime.search.requests import Asking, join


class JoinTable:
    """Answers of the joiner for one step of a stream.

    Looking ahead, a hypothesis is joined with all the frames that are left when it is first met: while nothing is
    said, and the beam stays as it is, one call serves all frames of a step. It is the number of calls that costs
    time where a stream is alone, and the number of hypotheses joined where there are many.

    Args:
        encodings: encoder frames of the step, shape (frames, encoding_dim).
        top_k: symbols to look at.
        look_ahead: ask for all frames that are left, not for one.
    """

    def __init__(self, encodings: FloatArray, top_k: int, look_ahead: bool) -> None:
        self._encodings, self._top_k, self._look_ahead = encodings, top_k, look_ahead
        self._rows: dict[tuple[int, ...], int] = {}
        self._answers: list[Joined | None] = [None] * len(encodings)

    def look_up(self, hypotheses: Sequence[Hypothesis], offset: int) -> Asking[Joined]:
        """The joiner's answers for some hypotheses at one frame; asks for those not yet known.

        Args:
            hypotheses: told apart by their tokens.
            offset: of the frame in the step; never less than before.
        """
        if self._answers[offset] is None:
            self._rows = {}
        sequences = [h.tokens for h in hypotheses]
        missing = [index for index, tokens in enumerate(sequences) if tokens not in self._rows]
        if missing:
            frames = self._encodings[offset:] if self._look_ahead else self._encodings[offset : offset + 1]
            answer = yield from join(frames, [hypotheses[index].prediction for index in missing], self._top_k)
            for index, part in enumerate(_split(answer, len(frames)), offset):
                self._answers[index] = _stack(self._answers[index], part)
            self._rows |= {sequences[index]: row for row, index in enumerate(missing, len(self._rows))}
        known = self._answers[offset]
        assert known is not None, "a frame has answers once a hypothesis was looked up"
        rows = [self._rows[tokens] for tokens in sequences]
        if rows == list(range(len(known.blank))):
            return known
        return Joined(known.blank[rows], known.top[rows], known.top_ids[rows])


def _split(joined: Joined, count: int) -> list[Joined]:
    """The rows of each of `count` frames."""
    if count == 1:
        return [joined]
    size = len(joined.blank) // count
    slices = [slice(begin, begin + size) for begin in range(0, count * size, size)]
    return [Joined(joined.blank[rows], joined.top[rows], joined.top_ids[rows]) for rows in slices]


def _stack(first: Joined | None, second: Joined) -> Joined:
    if first is None:
        return second
    return Joined(
        np.concatenate([first.blank, second.blank]),
        np.concatenate([first.top, second.top]),
        np.concatenate([first.top_ids, second.top_ids]),
    )
