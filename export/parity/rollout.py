"""One backend beside the reference, chunk after chunk: from torchaudio's features, and from the waveform on."""

from dataclasses import replace

import numpy as np

from emf.export.graphs.states import CACHE, EncoderStates
from emf.export.parity.beam_follower import BeamFollower
from emf.export.parity.deviations import Deviations
from emf.export.parity.reference import EncoderChain, ReferenceStep
from emf.runtime.arrays import Array, Arrays, FloatArray
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.errors import ToleranceError
from emf.runtime.inference.encoder_state import EncoderState
from emf.runtime.inference.transducer import EncodedStep, Transducer
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

    def __init__(
        self, transducer: Transducer, deviations: Deviations, beams: BeamFollower, states: EncoderStates
    ) -> None:
        self.transducer, self.deviations, self.beams = transducer, deviations, beams
        self._state, self._states = transducer.initial_encoder_state(), states
        self._encoded: EncodedStep | None = None

    def lead(self, features: FloatArray) -> Arrays:
        """Encode a chunk ahead of the reference; what is kept of it. See `Lead`."""
        self._encoded = self.transducer.encode_segments(features[None, None], [self._state])
        self._encoded.commit()
        return _kept(self._encoded)

    def follow(self, step: ReferenceStep, index: int) -> None:
        """Decode the chunk of `step` and compare everything.

        Raises:
            ToleranceError: naming the first tensor that leaves the tolerance.
        """
        place = f"chunk {index}"
        if self._encoded is None:
            self._encoded = self.transducer.encode_segments(step.features[None, None], [self._state])
            self._encoded.commit()
        encoding, self._encoded = self._encoded.encodings[0, 0], None
        _compare(self.deviations, encoding, self._state, step, self._states, place)
        self.beams.follow(encoding, step, index)


def _compare(
    deviations: Deviations,
    encoding: FloatArray,
    state: EncoderState,
    step: ReferenceStep,
    states: EncoderStates,
    place: str,
) -> None:
    """Compare an encoding, what is kept, and the states behind it."""
    if step.excess is not None:
        excess = np.array([step.excess], np.float32)
        deviations.compare(f"encoder.new_{CACHE}", excess, np.zeros_like(excess), place)
    deviations.compare("encoder.encoding", encoding, step.encoding, place)
    found = states.values({tensor.name: state.in_time_order(tensor.name) for tensor in states.tensors})
    for name, expected in step.states.items():
        deviations.compare(f"encoder.{name}", found[name], expected, place)


def _kept(step: EncodedStep) -> dict[str, Array]:
    """What a pass of one stream adds to its rings, by name of the state."""
    (state,), outputs = step.blocks[0]
    return {tensor.name: outputs[tensor.spec.output] for tensor in state.layout if tensor.spec.update == "ring"}


class PassRollout:
    """One backend that takes several segments in one pass: after some single steps, passes for as long as they fill.

    Attributes:
        transducer: the backend's graphs.
        deviations: of its tensors.
    """

    def __init__(
        self,
        transducer: Transducer,
        deviations: Deviations,
        lead: int,
        states: EncoderStates,
        chain: EncoderChain | None = None,
    ) -> None:
        """Begin with `lead` single steps; `chain` computes what to compare with where roundings matter."""
        self.transducer, self.deviations, self._lead = transducer, deviations, lead
        self._state, self._states, self._chain = transducer.initial_encoder_state(), states, chain
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
        if self._chain is not None:
            axes = {tensor.name: tensor.axis for tensor in self._states.tensors}
            rings = _kept(found).items()
            parts = {name: np.split(ring, count, axis=axes[name]) for name, ring in rings}
            kept = ({name: part[index] for name, part in parts.items()} for index in range(count))
            self._steps = [self._chain.step(*pair) for pair in zip(self._steps, kept, strict=True)]
        for one, encoding in zip(self._steps[:-1], found.encodings[0], strict=False):
            self.deviations.compare("encoder.encoding", encoding, one.encoding, place)
        _compare(self.deviations, found.encodings[0, -1], self._state, self._steps[-1], self._states, place)
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
        self._encoding: FloatArray | None = None
        settings = stream_settings(manifest, RecognizerOptions(frontend="windowed"))
        self._stream = Stream(settings, StreamState(transducer.initial_encoder_state(), SearchState(())))

    def follow(self, step: ReferenceStep, index: int) -> None:
        """Decode the next chunk from the waveform and compare the beams.

        Raises:
            ToleranceError: there is no other chunk.
        """
        encoding = self._encode()[0] if self._encoding is None else self._encoding
        self._encoding = None
        self.beams.follow(encoding, step, index)

    def lead(self, _: FloatArray) -> Arrays:
        """Encode the next chunk of the waveform ahead of the reference; what is kept of it. See `Lead`."""
        self._encoding, kept = self._encode()
        return kept

    def _encode(self) -> tuple[FloatArray, Arrays]:
        """Encoding of the next chunk, and what is kept of it."""
        self._feed()
        settings, state = self._stream.settings, self._stream.state
        features = settings.extractor.extract(state.audio, state.clock.step)
        step = self._transducer.encode_segments(features[None, None], [state.encoder])
        step.commit()
        state.clock = replace(state.clock, step=state.clock.step + 1)
        state.audio.drop_before(settings.extractor.first_sample(state.clock.step))
        return step.encodings[0, 0], _kept(step)

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
