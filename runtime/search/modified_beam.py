"""Modified beam search: at most one token a frame, so one joiner and one predictor call each.

Source: icefall's `modified_beam_search` (hypotheses with the same tokens merged by adding their
probabilities, ranking by score / number of tokens).
"""

from typing import cast

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.search.hypothesis import (
    Extend,
    Hypothesis,
    Predicted,
    Search,
    SearchOptions,
    SearchState,
    extend,
    extension_gains,
    num_candidates,
    ranked,
    within_threshold,
)
from emf.runtime.search.join_table import JoinTable

MODIFIED_BEAM_LENGTH_OFFSET = 1
"""Added to the number of tokens in the ranking: icefall counts the initial blank as a token."""


def modified_beam_search(encodings: FloatArray, state: SearchState, options: SearchOptions) -> Search:
    """Search the frames of one step, with at most one token a frame.

    Args:
        encodings: encoder frames, shape (frames, encoding_dim).
        state: the search so far.
        options: beam width and threshold.

    Returns:
        The state after the last frame, hypotheses best first.
    """
    hypotheses = list(state.hypotheses)
    top_k = num_candidates(state, options)
    table = JoinTable(encodings, top_k, options.look_ahead)
    for offset in range(len(encodings)):
        joined = yield from table.look_up(hypotheses, offset)
        scores = np.array([h.score for h in hypotheses], np.float32)
        gains = extension_gains(hypotheses, joined, state)
        # Column 0 is the blank; a hypothesis that takes it stays as it is.
        totals = scores[:, None] + np.concatenate([joined.blank[:, None], gains], axis=1)
        order = np.argsort(-totals.reshape(-1), kind="stable")[: options.beam_width]
        best = totals.reshape(-1)[order]
        order = order[~(best < best[0] - options.beam_threshold)]
        choices = [divmod(int(index), totals.shape[1]) for index in order]
        emitting = [(source, column) for source, column in choices if column]
        new: Predicted = []
        if emitting:
            tokens = [int(joined.top_ids[source, column - 1]) for source, column in emitting]
            new = cast(Predicted, (yield Extend(tokens, [hypotheses[source].state for source, _ in emitting])))
        predictions = dict(zip(emitting, new, strict=True))
        merged: dict[tuple[int, ...], Hypothesis] = {}
        for source, column in choices:
            base, total = hypotheses[source], float(totals[source, column])
            successor = base._replace(score=total)
            if column:
                token, log_prob = int(joined.top_ids[source, column - 1]), float(joined.top[source, column - 1])
                predicted, time = predictions[source, column], state.num_frames + offset
                successor = extend(base, token, time, log_prob, total, predicted, state)
            other = merged.get(successor.tokens)
            if other is not None:
                score = float(np.logaddexp(np.float32(other.score), np.float32(successor.score)))
                successor = max(other, successor, key=lambda h: h.score)._replace(score=score)
            merged[successor.tokens] = successor
        hypotheses = ranked(merged.values(), state.num_committed, MODIFIED_BEAM_LENGTH_OFFSET)
        hypotheses = within_threshold(hypotheses, options)
    return state.after(hypotheses, len(encodings))
