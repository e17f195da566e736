"""One backend beside the reference, chunk after chunk: from torchaudio's features, and from the waveform on."""

from dataclasses import replace

import numpy as np

from emf.export.parity.beam_follower import BeamFollower
from emf.export.parity.deviations import Deviations
from emf.export.parity.reference import ReferenceStep
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.errors import ToleranceError
from emf.runtime.inference.encoder_state import EncoderState
from emf.runtime.inference.transducer import Transducer
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.recognition.stream import Stream
from emf.runtime.recognition.stream_settings import stream_settings
from emf.runtime.recognition.stream_state import StreamState
from emf.runtime.search.hypothesis import SearchState

_PIECE_SECONDS = 0.1


class FeatureRollout:
    """One backend over torchaudio's features: every tensor is compared, and the beams.

    Attributes:
        transducer: the backend's graphs.
        deviations: of its tensors.
        beams: our search.
    """

    def __init__(self, transducer: Transducer, deviations: Deviations, beams: BeamFollower) -> None:
        self.transducer, self.deviations, self.beams = transducer, deviations, beams
        self._state = transducer.initial_encoder_state()

    def follow(self, step: ReferenceStep, index: int) -> None:
        """Decode the chunk of `step` and compare everything.

        Raises:
            ToleranceError: naming the first tensor that leaves the tolerance.
        """
        place = f"chunk {index}"
        encoding = self.transducer.encode(step.features[None], [self._state])[0]
        self.deviations.compare("encoder.encoding", encoding, step.encoding, place)
        _compare_states(self.deviations, self._state, step, place)
        self.beams.follow(encoding, step, index)


def _compare_states(deviations: Deviations, state: EncoderState, step: ReferenceStep, place: str) -> None:
    for name, expected in step.states.items():
        deviations.compare(f"encoder.{name}", state.in_time_order(name).astype(np.float32), expected, place)


class PassRollout:
    """One backend that takes several segments in one pass: after some single steps, passes for as long as they fill.

    Attributes:
        transducer: the backend's graphs.
        deviations: of its tensors.
    """

    def __init__(self, transducer: Transducer, deviations: Deviations, lead: int) -> None:
        """Begin with `lead` single steps."""
        self.transducer, self.deviations, self._lead = transducer, deviations, lead
        self._state = transducer.initial_encoder_state()
        self._steps: list[ReferenceStep] = []

    def follow(self, step: ReferenceStep, index: int) -> None:
        """Take the chunk of `step`; if it completes a pass, compare the pass' encodings and the state behind it.

        Raises:
            ToleranceError: naming the first tensor that leaves the tolerance.
        """
        self._steps.append(step)
        count = 1 if index < self._lead else self.transducer.segments
        if len(self._steps) < count:
            return
        place = f"the pass of {count} chunks that ends with chunk {index}"
        found = self.transducer.encode_segments(np.stack([one.features for one in self._steps])[None], [self._state])
        found.commit()
        expected = np.stack([one.encoding for one in self._steps])
        self.deviations.compare("encoder.encoding", found.encodings[0], expected, place)
        _compare_states(self.deviations, self._state, step, place)
        self._steps = []


class WaveformRollout:
    """One backend as a user has it: audio in pieces, our own features, our own encoder states. The beams are compared.

    torchaudio's features are rounded to float32 in another order than ours, so tensors differ by more than a graph's
    rounding; tokens must not.

    Attributes:
        beams: our search.
    """

    def __init__(self, manifest: Manifest, transducer: Transducer, beams: BeamFollower, samples: FloatArray) -> None:
        """Begin a stream of mono audio at the model's rate."""
        self.beams = beams
        self._transducer, self._samples, self._fed = transducer, samples, 0
        settings = stream_settings(manifest, RecognizerOptions(frontend="windowed"))
        self._stream = Stream(settings, StreamState(transducer.initial_encoder_state(), SearchState(())))

    def follow(self, step: ReferenceStep, index: int) -> None:
        """Decode the next chunk from the waveform and compare the beams.

        Raises:
            ToleranceError: there is no other chunk.
        """
        self._feed()
        settings, state = self._stream.settings, self._stream.state
        features = settings.extractor.extract(state.audio, state.clock.step)
        encoding = self._transducer.encode(features[None], [state.encoder])[0]
        self.beams.follow(encoding, step, index)
        state.clock = replace(state.clock, step=state.clock.step + 1)
        state.audio.drop_before(settings.extractor.first_sample(state.clock.step))

    def _feed(self) -> None:
        """Give the stream audio until a chunk is complete."""
        rate = self._stream.settings.sample_rate
        length = round(_PIECE_SECONDS * rate)
        while not self._stream.is_ready:
            if self._stream.is_final:
                raise ToleranceError("our frontend makes fewer chunks of the audio than torchaudio's loop")
            if self._fed >= len(self._samples):
                self._stream.input_finished()
            else:
                self._stream.accept_waveform(rate, self._samples[self._fed : self._fed + length])
                self._fed += length
