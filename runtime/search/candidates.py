"""Which symbols may extend a hypothesis, and what they add to its score."""

from collections.abc import Sequence

from emf.runtime.arrays import FloatArray
from emf.runtime.search.hypothesis import Hypothesis, SearchState
from emf.runtime.search.model import Joined
from emf.runtime.search.options import SearchOptions

GUIDED_CANDIDATES = 16
"""Symbols a hypothesis that a guided search looks at: as many as the joiner graph ranks."""


def num_candidates(state: SearchState, options: SearchOptions) -> int:
    """How many symbols of each hypothesis to look at: no more can survive, unless guidance reorders them."""
    return max(options.beam_width, GUIDED_CANDIDATES) if state.guidance else options.beam_width


def extension_gains(active: Sequence[Hypothesis], joined: Joined, state: SearchState) -> FloatArray:
    """What each of its best symbols adds to the score of every active hypothesis, shape (n, k), float32."""
    if not state.guidance:
        return joined.top
    return state.guidance.guided(joined.top, [h.place for h in active], joined.top_ids)
