"""Modified beam search: at most one token a frame, so one joiner and one predictor call each.

Source: icefall's `modified_beam_search` (hypotheses with the same tokens merged by adding their
probabilities, ranking by score / number of tokens).
"""

from collections.abc import Iterable

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.search.candidates import extension_gains, num_candidates
from emf.runtime.search.hypothesis import Hypothesis, SearchState, ranked, within_threshold
from emf.runtime.search.join_table import JoinTable
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.requests import Predicted, Search, predict

MODIFIED_BEAM_LENGTH_OFFSET = 1
"""Added to the number of tokens in the ranking: icefall counts the initial blank as a token."""


def modified_beam_search(encodings: FloatArray, state: SearchState, options: SearchOptions, look_ahead: bool) -> Search:
    """Search the frames of one step, with at most one token a frame.

    Args:
        encodings: encoder frames, shape (frames, encoding_dim).
        state: the search so far.
        options: beam width and threshold.
        look_ahead: see `JoinTable`.

    Returns:
        The state after the last frame, hypotheses best first.
    """
    hypotheses = list(state.hypotheses)
    table = JoinTable(encodings, num_candidates(state, options), look_ahead)
    for offset in range(len(encodings)):
        frame = state.num_frames + offset
        joined = yield from table.look_up(hypotheses, offset)
        scores = np.array([h.score for h in hypotheses], np.float32)
        # Column 0 is the blank; a hypothesis that takes it stays as it is.
        gains = np.concatenate([joined.blank[:, None], extension_gains(hypotheses, joined, state)], axis=1)
        choices = _best_choices(scores[:, None] + gains, options)
        emitting = [(source, int(joined.top_ids[source, column - 1])) for source, column, _ in choices if column]
        predicted: Predicted = []
        if emitting:
            predicted = yield from predict([token for _, token in emitting], [hypotheses[s].state for s, _ in emitting])
        following = iter(predicted)
        successors = []
        for source, column, total in choices:
            successor = hypotheses[source]._replace(score=total)
            if column:
                token, log_prob = int(joined.top_ids[source, column - 1]), float(joined.top[source, column - 1])
                successor = state.extend(successor, token, frame, log_prob, total, next(following))
            successors.append(successor)
        hypotheses = ranked(_merged(successors), state.num_committed, MODIFIED_BEAM_LENGTH_OFFSET)
        hypotheses = within_threshold(hypotheses, options.beam_threshold)
    return state.after(hypotheses, len(encodings))


def _best_choices(totals: FloatArray, options: SearchOptions) -> list[tuple[int, int, float]]:
    """Hypothesis, column and score of the best totals, shape (n, 1 + k), best first."""
    flat = totals.reshape(-1)
    order = np.argsort(-flat, kind="stable")[: options.beam_width]
    order = order[~(flat[order] < flat[order[0]] - options.beam_threshold)]
    return [(*divmod(int(index), totals.shape[1]), float(flat[index])) for index in order]


def _merged(successors: Iterable[Hypothesis]) -> list[Hypothesis]:
    """One hypothesis for each sequence of tokens, the probabilities of equal ones added."""
    merged: dict[tuple[int, ...], Hypothesis] = {}
    for successor in successors:
        other = merged.get(successor.tokens)
        if other is not None:
            score = float(np.logaddexp(np.float32(other.score), np.float32(successor.score)))
            successor = max(other, successor, key=lambda h: h.score)._replace(score=score)
        merged[successor.tokens] = successor
    return list(merged.values())
