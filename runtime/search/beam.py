"""Beam search with several tokens a frame, equal to `torchaudio.models.RNNTBeamSearch`.

At every frame a hypothesis either stops (blank) or is extended by a token and stays at the
frame. Hypotheses with the same tokens are merged by adding their probabilities. Scores are
kept in the precision of the log-probabilities, because near-ties decide the beam and torchaudio keeps them so.
"""

from typing import cast

import numpy as np
import numpy.typing as npt

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
from emf.runtime.search.model import Joined

Finished = dict[tuple[int, ...], Hypothesis]

BEAM_LENGTH_OFFSET = 2
"""Added to the number of tokens in the ranking: torchaudio counts the initial blank as a token, and adds 1."""


def beam_search(encodings: FloatArray, state: SearchState, options: SearchOptions) -> Search:
    """Search the frames of one step.

    Args:
        encodings: encoder frames, shape (frames, encoding_dim).
        state: the search so far.
        options: beam width and threshold, tokens a frame.

    Returns:
        The state after the last frame, hypotheses ranked as torchaudio does.
    """
    hypotheses = list(state.hypotheses)
    top_k = num_candidates(state, options)
    table = JoinTable(encodings, top_k, options.look_ahead)
    for offset in range(len(encodings)):
        time = state.num_frames + offset
        active, finished = hypotheses, Finished()
        predicted = {h.tokens: (h.prediction, h.state) for h in active}
        for expansion in range(options.step_max_tokens + 1):
            joined = yield from table.look_up(active, offset)
            scores = np.array([h.score for h in active], joined.blank.dtype)
            _finish(finished, active, scores + joined.blank)
            if expansion == options.step_max_tokens:
                break
            candidates = scores[:, None] + extension_gains(active, joined, state)
            sources, tokens, log_probs, totals = _best_extensions(candidates, joined, finished, options)
            if not len(sources):
                break
            extended = [(*active[source].tokens, token) for source, token in zip(sources, tokens, strict=True)]
            missing = [index for index, sequence in enumerate(extended) if sequence not in predicted]
            if missing:
                answer = yield Extend([tokens[i] for i in missing], [active[sources[i]].state for i in missing])
                predicted |= zip([extended[i] for i in missing], cast(Predicted, answer), strict=True)
            active = [
                extend(active[source], token, time, log_prob, total, predicted[sequence], state)
                for sequence, source, token, log_prob, total in zip(
                    extended, sources, tokens, log_probs, totals, strict=True
                )
            ]
        hypotheses = ranked(finished.values(), state.num_committed, BEAM_LENGTH_OFFSET)[: options.beam_width]
        hypotheses = within_threshold(hypotheses, options)
    return state.after(hypotheses, len(encodings))


def _finish(finished: Finished, active: list[Hypothesis], totals: FloatArray) -> None:
    """End the frame for every active hypothesis by a blank; merge with one of the same tokens."""
    for hypothesis, total in zip(active, totals, strict=True):
        other = finished.get(hypothesis.tokens)
        if other is None:
            finished[hypothesis.tokens] = hypothesis._replace(score=float(total))
            continue
        merged = float(np.logaddexp(totals.dtype.type(other.score), total))
        # The alignment kept, and with it the timestamps, is the more probable one.
        likelier = hypothesis if total > other.score else other
        finished[hypothesis.tokens] = likelier._replace(score=merged)


def _best_extensions(
    candidates: FloatArray, joined: Joined, finished: Finished, options: SearchOptions
) -> tuple[list[int], list[int], list[float], list[float]]:
    """The best extensions of all active hypotheses that can still enter the beam.

    Returns:
        Index of the hypothesis extended, token, its log-probability, and the new score.
    """
    candidates = candidates.reshape(-1)
    order: npt.NDArray[np.intp] = np.argsort(-candidates, kind="stable")[: options.beam_width]
    scores = sorted(h.score for h in finished.values())
    floor = scores[-1] - options.beam_threshold
    if len(scores) >= options.beam_width:
        floor = max(floor, scores[-options.beam_width])
    order = order[candidates[order] > floor]
    sources = order // joined.top.shape[1]
    return (
        sources.tolist(),
        joined.top_ids.reshape(-1)[order].tolist(),
        joined.top.reshape(-1)[order].tolist(),
        candidates[order].tolist(),
    )
