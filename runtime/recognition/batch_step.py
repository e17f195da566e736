"""One step of a batch of streams: features, encoder, search."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.inference.transducer import EncodedStep, Transducer
from emf.runtime.recognition.stream import Stream
from emf.runtime.recognition.stream_state import Encodings
from emf.runtime.search.batched.advance import advance
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.options import SearchOptions


@dataclass(frozen=True, slots=True)
class DecodedStep:
    """What a step gave for a batch of streams, which are still as they were.

    Attributes:
        streams: of the batch.
        encoded: the encoder's passes.
        encodings: of each stream, those of the segment that was searched, and of the segments behind it as far as the
            encoder has taken them.
        searched: the search's part, one state a stream.
    """

    streams: Sequence[Stream]
    encoded: Sequence[EncodedStep]
    encodings: Sequence[Encodings]
    searched: Sequence[SearchState]

    def commit(self) -> None:
        """Move the streams on."""
        for encoded in self.encoded:
            encoded.commit()
        for stream, (_, *ahead), search in zip(self.streams, self.encodings, self.searched, strict=True):
            state, settings = stream.state, stream.settings
            state.in_passes = stream.is_in_passes
            state.ahead = tuple(ahead)
            state.advance(search, settings.stable_frames)
            state.audio.drop_before(settings.extractor.first_sample(state.clock.step))


def decode_step(transducer: Transducer, options: SearchOptions, streams: Sequence[Stream]) -> DecodedStep:
    """Decode a segment of each stream; each must be ready. The streams stay as they are until the step is committed."""
    encoded, encodings = _encode(transducer, streams)
    states = [stream.state.search for stream in streams]
    searched = advance(np.stack([first for first, *_ in encodings]), states, transducer, options)
    return DecodedStep(streams, encoded, encodings, searched)


def _encode(transducer: Transducer, streams: Sequence[Stream]) -> tuple[list[EncodedStep], list[Encodings]]:
    """The passes of the encoder that the streams need, and the encodings that each stream then has."""
    found = {stream: stream.state.ahead for stream in streams}
    waiting = [stream for stream in streams if not stream.state.ahead]
    alone = [stream for stream in waiting if stream.takes_pass]
    together = [stream for stream in waiting if not stream.takes_pass]
    encoded: list[EncodedStep] = []
    for group, segments in [(together, 1), *(([stream], transducer.segments) for stream in alone)]:
        if group:
            features = np.stack([_features(stream, segments) for stream in group])
            encoded.append(transducer.encode_segments(features, [stream.state.encoder for stream in group]))
            found |= {stream: tuple(rows) for stream, rows in zip(group, encoded[-1].encodings, strict=True)}
    return encoded, [found[stream] for stream in streams]


def _features(stream: Stream, segments: int) -> FloatArray:
    """Windows of the next segments, (segments, segment_length + right_context_length, n_mels)."""
    extract, state = stream.settings.extractor.extract, stream.state
    return np.stack([extract(state.audio, step) for step in range(state.clock.step, state.clock.step + segments)])
