"""Beam search with several tokens a frame, equal to `torchaudio.models.RNNTBeamSearch`.

At every frame a hypothesis either stops (blank) or is extended by a token and stays at the
frame. Hypotheses with the same tokens are merged by adding their probabilities. Scores are
kept in the precision of the log-probabilities, because near-ties decide the beam and torchaudio keeps them so.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emf.runtime.arrays import FloatArray
from emf.runtime.search.candidates import extension_gains, num_candidates
from emf.runtime.search.hypothesis import Hypothesis, SearchState, ranked, within_threshold
from emf.runtime.search.join_table import JoinTable
from emf.runtime.search.model import Joined
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.requests import Asking, Predicted, Search, predict

Finished = dict[tuple[int, ...], Hypothesis]
"""Hypotheses that ended the frame with a blank, by their tokens."""

BEAM_LENGTH_OFFSET = 2
"""Added to the number of tokens in the ranking: torchaudio counts the initial blank as a token, and adds 1."""


class _Extension(NamedTuple):
    """A hypothesis that may be extended by a token.

    Attributes:
        base: the hypothesis.
        token: id of the token.
        log_prob: log-probability of the token alone.
        score: of the hypothesis with it.
        tokens: of the hypothesis with it.
    """

    base: Hypothesis
    token: int
    log_prob: float
    score: float
    tokens: tuple[int, ...]


def beam_search(encodings: FloatArray, state: SearchState, options: SearchOptions, look_ahead: bool) -> Search:
    """Search the frames of one step.

    Args:
        encodings: encoder frames, shape (frames, encoding_dim).
        state: the search so far.
        options: beam width and threshold, tokens a frame.
        look_ahead: see `JoinTable`.

    Returns:
        The state after the last frame, hypotheses ranked as torchaudio does.
    """
    hypotheses = list(state.hypotheses)
    table = JoinTable(encodings, num_candidates(state, options), look_ahead)
    for offset in range(len(encodings)):
        frame = state.num_frames + offset
        active, finished = hypotheses, Finished()
        predicted = {h.tokens: (h.prediction, h.state) for h in active}
        for expansion in range(options.step_max_tokens + 1):
            joined = yield from table.look_up(active, offset)
            scores = np.array([h.score for h in active], joined.blank.dtype)
            _finish(finished, active, scores + joined.blank)
            if expansion == options.step_max_tokens:
                break
            candidates = scores[:, None] + extension_gains(active, joined, state)
            extensions = _best_extensions(active, candidates, joined, finished, options)
            if not extensions:
                break
            yield from _predict_missing(extensions, predicted)
            active = [
                state.extend(base, token, frame, log_prob, score, predicted[tokens])
                for base, token, log_prob, score, tokens in extensions
            ]
        hypotheses = ranked(finished.values(), state.num_committed, BEAM_LENGTH_OFFSET)[: options.beam_width]
        hypotheses = within_threshold(hypotheses, options.beam_threshold)
    return state.after(hypotheses, len(encodings))


def _finish(finished: Finished, active: list[Hypothesis], totals: FloatArray) -> None:
    """End the frame for every active hypothesis by a blank; merge with one of the same tokens."""
    for hypothesis, total in zip(active, totals, strict=True):
        tokens = hypothesis.tokens
        other = finished.get(tokens)
        if other is None:
            finished[tokens] = hypothesis._replace(score=float(total))
            continue
        merged = float(np.logaddexp(totals.dtype.type(other.score), total))
        # The alignment kept, and with it the frames, is the more probable one.
        likelier = hypothesis if total > other.score else other
        finished[tokens] = likelier._replace(score=merged)


def _best_extensions(
    active: list[Hypothesis], candidates: FloatArray, joined: Joined, finished: Finished, options: SearchOptions
) -> list[_Extension]:
    """The best extensions of all active hypotheses that can still enter the beam, best first."""
    candidates = candidates.reshape(-1)
    order: npt.NDArray[np.intp] = np.argsort(-candidates, kind="stable")[: options.beam_width]
    scores = sorted(h.score for h in finished.values())
    floor = scores[-1] - options.beam_threshold
    if len(scores) >= options.beam_width:
        floor = max(floor, scores[-options.beam_width])
    order = order[candidates[order] > floor]
    sources = order // joined.top.shape[1]
    tokens, log_probs = joined.top_ids.reshape(-1)[order], joined.top.reshape(-1)[order]
    columns = zip(sources.tolist(), tokens.tolist(), log_probs.tolist(), candidates[order].tolist(), strict=True)
    return [
        _Extension(active[source], token, log_prob, score, (*active[source].tokens, token))
        for source, token, log_prob, score in columns
    ]


def _predict_missing(
    extensions: list[_Extension], predicted: dict[tuple[int, ...], tuple[FloatArray, FloatArray]]
) -> Asking[None]:
    """Ask for the predictions that this frame did not bring up before."""
    missing = [extension for extension in extensions if extension.tokens not in predicted]
    if missing:
        answer: Predicted = yield from predict([e.token for e in missing], [e.base.state for e in missing])
        predicted |= zip([e.tokens for e in missing], answer, strict=True)
