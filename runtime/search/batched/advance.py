"""The search of a step, with whichever implementation is quicker for the batch."""

from collections.abc import Mapping, Sequence

from emf.runtime.arrays import FloatArray
from emf.runtime.search import run
from emf.runtime.search.batched.beam import beam_search
from emf.runtime.search.batched.greedy import greedy_search
from emf.runtime.search.batched.modified_beam import modified_beam_search
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.model import Model
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import Advance

_SEARCHES: Mapping[str, Advance] = {
    "greedy": greedy_search,
    "beam": beam_search,
    "modified_beam": modified_beam_search,
}
_FEWEST_STREAMS = 4
"""For fewer streams the reference is quicker: arrays cost the same for one stream as for ten."""


def advance_batch(
    encodings: FloatArray, states: Sequence[SearchState], model: Model, options: SearchOptions
) -> list[SearchState]:
    """One step of every stream over arrays; see `Advance`."""
    if not encodings.shape[1]:
        return run.advance(encodings, states, model, options)
    return _SEARCHES[options.decoding_method](encodings, states, model, options)


def advance(
    encodings: FloatArray, states: Sequence[SearchState], model: Model, options: SearchOptions
) -> list[SearchState]:
    """One step of every stream; see `Advance`."""
    implementation = advance_batch if len(states) >= _FEWEST_STREAMS else run.advance
    return implementation(encodings, states, model, options)
