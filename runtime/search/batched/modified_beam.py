"""Modified beam search for many streams at once: what `emf.runtime.search.modified_beam` does for one."""

from collections.abc import Sequence

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.search.batched.hypotheses import Columns, Row, ranks_in
from emf.runtime.search.batched.prefixes import NONE, IntArray, Prefixes
from emf.runtime.search.candidates import num_candidates
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.model import Model
from emf.runtime.search.modified_beam import MODIFIED_BEAM_LENGTH_OFFSET
from emf.runtime.search.options import SearchOptions


def modified_beam_search(
    encodings: FloatArray, states: Sequence[SearchState], model: Model, options: SearchOptions
) -> list[SearchState]:
    """One step of every stream; see `Advance`. All streams are at the same frame."""
    prefixes = Prefixes(states, model, options)
    beam = Row.of(states, encodings.dtype)
    streams = np.arange(len(states))
    lengths = np.array([state.num_committed for state in states]) + MODIFIED_BEAM_LENGTH_OFFSET
    begins = np.array([state.num_frames for state in states])
    top_k = max(num_candidates(state, options) for state in states)
    for offset in range(encodings.shape[1]):
        found = _merged(_successors(beam, encodings[:, offset], begins + offset, prefixes, top_k, options))
        found = found.ranked(prefixes.lengths[found.prefix] + lengths[:, None])
        found.drop_below(options.beam_threshold)
        beam = found.row(streams)
    return [state.after(found.hypotheses(stream, prefixes), encodings.shape[1]) for stream, state in enumerate(states)]


def _successors(
    beam: Row, frames: FloatArray, numbers: IntArray, prefixes: Prefixes, top_k: int, options: SearchOptions
) -> Columns:
    """The best of all hypotheses with a blank or one more token, best first.

    Args:
        beam: hypotheses before the frame.
        frames: encoder frame of each stream, shape (streams, encoding_dim).
        numbers: of these frames.
        prefixes: of the step.
        top_k: symbols to look at.
        options: beam width and threshold.
    """
    joined = prefixes.join(frames[beam.stream], beam.prefix, top_k)
    gains = prefixes.gains(joined, beam.prefix, beam.stream)
    # Choice 0 is the blank; a hypothesis that takes it stays as it is.
    gains = beam.score.astype(np.float32)[:, None] + np.concatenate([joined.blank[:, None], gains], axis=1)
    ranks = ranks_in(beam.stream)
    totals = np.full((len(frames), int(ranks.max()) + 1, gains.shape[1]), -np.inf, gains.dtype)
    totals[beam.stream, ranks] = gains
    totals = totals.reshape(len(frames), -1)
    order = np.argsort(-totals, axis=1, kind="stable")[:, : options.beam_width]
    scores = np.take_along_axis(totals, order, axis=1)
    sources, choices = np.divmod(order, gains.shape[1])
    counts = np.bincount(beam.stream, minlength=len(frames))
    kept = (sources < counts[:, None]) & ~(scores < scores[:, :1] - options.beam_threshold)
    found = Columns.empty(len(scores), scores.shape[1], scores.dtype)
    sources = (sources + np.searchsorted(beam.stream, np.arange(len(frames)))[:, None])[kept]
    found.prefix[kept], found.path[kept], found.score[kept] = beam.prefix[sources], beam.path[sources], scores[kept]
    streams, columns = np.nonzero(kept & (choices > 0))
    if len(streams):
        answers = np.full(kept.shape, NONE)
        answers[kept] = sources
        cells = answers[streams, columns], choices[streams, columns] - 1
        tokens, log_probs = joined.top_ids[cells], joined.top[cells]
        bases, paths = found.prefix[streams, columns], found.path[streams, columns]
        found.prefix[streams, columns] = prefixes.extend(bases, tokens, streams)
        found.path[streams, columns] = prefixes.emit(paths, tokens, numbers[streams], log_probs)
    return found


def _merged(found: Columns) -> Columns:
    """One hypothesis for each prefix, the probabilities of equal ones added; the likelier, which comes first, stays.

    At most two are equal: one that took the blank, and one that took the last token of the first.
    """
    equal = found.prefix[:, :, None] == found.prefix[:, None, :]
    equal &= np.tri(equal.shape[1], k=-1, dtype=bool) & (found.prefix != NONE)[:, :, None]
    streams, later, first = np.nonzero(equal)
    scores = found.score.astype(np.float32)
    found.score[streams, first] = np.logaddexp(scores[streams, first], scores[streams, later])
    found.drop(equal.any(axis=2))
    return found
