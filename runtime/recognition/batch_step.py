"""One step of a batch of streams: features, encoder, search."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emf.runtime.inference.transducer import EncodedStep, Transducer
from emf.runtime.recognition.stream import Stream
from emf.runtime.search.batched.advance import advance
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.options import SearchOptions


@dataclass(frozen=True, slots=True)
class DecodedStep:
    """What a step gave for a batch of streams, which are still as they were.

    Attributes:
        streams: of the batch.
        encoded: the encoder's part.
        searched: the search's part, one state a stream.
    """

    streams: Sequence[Stream]
    encoded: EncodedStep
    searched: Sequence[SearchState]

    def commit(self) -> None:
        """Move the streams on."""
        self.encoded.commit()
        for stream, search in zip(self.streams, self.searched, strict=True):
            state, settings = stream.state, stream.settings
            state.advance(search, settings.stable_frames)
            state.audio.drop_before(settings.extractor.first_sample(state.clock.step))


def decode_step(transducer: Transducer, options: SearchOptions, streams: Sequence[Stream]) -> DecodedStep:
    """Decode a segment of each stream; each must be ready. The streams stay as they are until the step is committed."""
    states = [stream.state for stream in streams]
    extract = [stream.settings.extractor.extract for stream in streams]
    features = np.stack([one(state.audio, state.clock.step) for one, state in zip(extract, states, strict=True)])
    encoded = transducer.encode_step(features, [state.encoder for state in states])
    searched = advance(encoded.encodings, [state.search for state in states], transducer, options)
    return DecodedStep(streams, encoded, searched)
