"""Every implementation of the search of a step, and a search of a whole table with one of them."""

from dataclasses import replace

import numpy as np

from emf.runtime.guidance.guidance import NO_GUIDANCE, Guidance
from emf.runtime.search.batched.advance import advance_batch
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import Advance, advance
from tests.runtime.search.table_model import TableModel

IMPLEMENTATIONS: dict[str, Advance] = {"reference": advance, "batched": advance_batch}


def search(
    step: Advance,
    method: str,
    model: TableModel,
    options: SearchOptions,
    guidance: Guidance = NO_GUIDANCE,
    pieces: int = 1,
) -> SearchState:
    """The state after all frames of a table, which come in some pieces."""
    options, state = replace(options, decoding_method=method), model.start().guided_by(guidance)
    for frames in np.array_split(model.frames, pieces):
        (state,) = step(frames[None], [state], model, options)
    return state
