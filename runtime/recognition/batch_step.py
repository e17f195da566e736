"""One step of a batch of streams: features, encoder, search."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from emf.runtime.inference.transducer import Transducer
from emf.runtime.recognition.stream import Stream
from emf.runtime.search.hypothesis import SearchMethod, SearchOptions
from emf.runtime.search.run import run_searches


def begin_step(
    transducer: Transducer, method: SearchMethod, options: SearchOptions, streams: Sequence[Stream]
) -> Callable[[], None]:
    """Decode a segment of each stream; the streams stay as they are until the function returned is called.

    Args:
        transducer: the model.
        method: how to search.
        options: of the search.
        streams: each ready.
    """
    options = replace(options, look_ahead=len(streams) == 1)
    features = np.stack([stream.features() for stream in streams])
    encodings, advance = transducer.begin_step(features, [stream.encoder_state for stream in streams])
    searches = [
        method(encoding, stream.search_state, options) for encoding, stream in zip(encodings, streams, strict=True)
    ]
    states = run_searches(searches, transducer, options)

    def commit() -> None:
        advance()
        for stream, state in zip(streams, states, strict=True):
            stream.advance(state)

    return commit
