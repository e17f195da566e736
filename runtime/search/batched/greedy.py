"""Greedy search for many streams at once: what `emf.runtime.search.greedy` does for one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.search.batched.prefixes import Prefixes
from emf.runtime.search.candidates import num_candidates
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.model import Model
from emf.runtime.search.options import SearchOptions


def greedy_search(
    encodings: FloatArray, states: Sequence[SearchState], model: Model, options: SearchOptions
) -> list[SearchState]:
    """One step of every stream; see `Advance`. Every stream is at a frame of its own."""
    states = [replace(state, hypotheses=(state.best,)) for state in states]
    top_k = max(num_candidates(state, options) for state in states)
    prefixes = Prefixes(states, model, options)
    prefix, path = np.tile(np.arange(len(states)), (2, 1))
    scores = np.array([state.best.score for state in states])
    begins = np.array([state.num_frames for state in states])
    offsets, emitted = np.zeros((2, len(states)), np.int64)
    while len(live := np.flatnonzero(offsets < encodings.shape[1])):
        joined = prefixes.join(encodings[live, offsets[live]], prefix[live], top_k)
        gains = prefixes.gains(joined, prefix[live], live)
        choices = gains.argmax(axis=1)
        rows = np.arange(len(live))
        best = gains[rows, choices]
        ends = (joined.blank >= best) | (emitted[live] == options.step_max_tokens)
        scores[live] += np.where(ends, joined.blank, best)
        done, going = live[ends], live[~ends]
        offsets[done] += 1
        emitted[done] = 0
        if len(going):
            rows, choices = rows[~ends], choices[~ends]
            tokens, log_probs = joined.top_ids[rows, choices], joined.top[rows, choices]
            prefix[going] = prefixes.extend(prefix[going], tokens, going)
            path[going] = prefixes.emit(path[going], tokens, begins[going] + offsets[going], log_probs)
            emitted[going] += 1
    found = map(prefixes.hypothesis, prefix.tolist(), path.tolist(), scores.tolist())
    return [state.after([best], encodings.shape[1]) for state, best in zip(states, found, strict=True)]
