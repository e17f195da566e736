"""One model over one recording: PyTorch and some backends side by side, everything compared chunk by chunk."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from emf.export.model import SourceModel
from emf.export.parity.beam_follower import BeamFollower
from emf.export.parity.deviations import Deviations
from emf.export.parity.reference import EncoderChain, Reference, ReferenceStep
from emf.export.parity.rollout import FeatureRollout, PassRollout, WaveformRollout
from emf.export.parity.token_chain import follow_tokens
from emf.export.parity.verification import Drift
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.audio.features import WindowedFeatures
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.errors import ToleranceError
from emf.runtime.inference.transducer import Transducer
from emf.runtime.search.run import Advance
from emf.runtime.speech.error_rate import count_errors

Progress = Callable[[Iterable[ReferenceStep], int], Iterable[ReferenceStep]]

BEAM_WIDTH = 10
_LEADS = (0, 1, 3)
"""Single steps before the first pass over several segments: passes begin at other places of the states' rings."""


@dataclass(frozen=True, slots=True)
class Side:
    """One backend after a run.

    Attributes:
        deviations: of its tensors.
        beams: our search over its encodings.
        waveform: our search over encodings of its own features; `None` if it was not asked for.
        tokens: PyTorch's.
        encodings: PyTorch's, (chunks, frames, encoding_dim).
        borders: values that it rounded to the other side than PyTorch, and all values that it kept.
    """

    deviations: Deviations
    beams: BeamFollower
    waveform: BeamFollower | None
    tokens: Sequence[int]
    encodings: FloatArray
    borders: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SideBySide:
    """What a run is of; `cache` names the format of cached keys and values. For the rest see `verify`."""

    source: SourceModel
    manifest: Manifest
    samples: FloatArray
    atol: float
    progress: Progress
    search: Advance
    cache: str

    @property
    def num_chunks(self) -> int:
        """Steps of the encoder."""
        return -(-len(self.samples) // self.manifest.samples_per_step)

    @property
    def _beam_width(self) -> int:
        """torchaudio's search cannot use more hypotheses than there are symbols beside the blank."""
        return min(BEAM_WIDTH, self.source.geometry.num_symbols - 1)

    def run(self, transducers: Sequence[Transducer], from_waveform: bool) -> list[Side]:
        """Follow PyTorch with these backends: one alone where the cache is rounded, which PyTorch then follows.

        Raises:
            ToleranceError: naming the first tensor that leaves the tolerance, or the backend whose search gives other
                tokens or scores than torchaudio's.
        """
        reference = Reference(self.source, self._beam_width, self.cache)
        rollouts = [
            FeatureRollout(t, Deviations(t.variant.backend, self.atol), self._follower(t), reference.states)
            for t in transducers
        ]
        shared = reference.rounded is None
        waveforms = [self._waveform(t) for t in transducers] if from_waveform and shared else []
        followers: list[FeatureRollout | PassRollout | WaveformRollout] = [*rollouts, *waveforms]
        for rollout in rollouts:
            followers += self._passes(rollout, reference)
        if not shared:
            reference.lead = rollouts[0].lead
        extractor, buffer = WindowedFeatures(self.manifest.frontend, self.manifest.geometry), self._buffer()
        encodings: list[FloatArray] = []
        last: ReferenceStep | None = None
        for index, last in enumerate(self.progress(reference.run(self.samples), self.num_chunks)):
            features = extractor.extract(buffer, index)
            for rollout in rollouts:
                rollout.deviations.compare("features", features, last.exact_features, f"chunk {index}")
            for one in followers:
                one.follow(last, index)
            encodings.append(last.encoding)
        tokens = _tokens(last)
        for rollout in rollouts:
            frames = [encoding[0] for encoding in encodings]
            follow_tokens(self.source, rollout.transducer, rollout.deviations, tokens, frames)
            if rollout.beams.mistake is not None:
                raise ToleranceError(f"{rollout.deviations.backend}: {rollout.beams.mistake}")
        if from_waveform and not shared:
            waveforms = [self._led_by_waveform(transducers[0])]
        borders = (0, 0) if reference.rounded is None else reference.rounded.borders
        return [
            Side(
                rollout.deviations,
                rollout.beams,
                waveform.beams if waveform else None,
                tokens,
                np.stack(encodings),
                borders,
            )
            for rollout, waveform in zip_longest(rollouts, waveforms)
        ]

    def drift(self, sides: Sequence[Side]) -> Drift:
        """What the roundings changed, against PyTorch without them."""
        steps = [*self.progress(Reference(self.source, self._beam_width).run(self.samples), self.num_chunks)]
        tokens, plain = _tokens(steps[-1] if steps else None), np.stack([step.encoding for step in steps])
        noise = max(float(np.square(side.encodings - plain, dtype=np.float64).mean()) for side in sides)
        signal = float(np.square(plain, dtype=np.float64).mean())
        other_side, kept = (sum(counts) for counts in zip(*(side.borders for side in sides), strict=True))
        return Drift(
            cache=self.cache,
            signal_to_noise_db=round(10.0 * float(np.log10(signal / max(noise, 1e-15 * signal))), 1),
            tokens=len(tokens),
            tokens_changed=max(count_errors(tokens, side.tokens).total for side in sides),
            kept=kept,
            other_side=other_side,
        )

    def _passes(self, rollout: FeatureRollout, reference: Reference) -> list[PassRollout]:
        """Passes of one backend, each beginning elsewhere."""
        if rollout.transducer.segments == 1:
            return []

        def chain() -> EncoderChain | None:
            return None if reference.rounded is None else EncoderChain(self.source, self.cache)

        transducer, deviations, states = rollout.transducer, rollout.deviations, reference.states
        return [PassRollout(transducer, deviations, lead, states, chain()) for lead in _LEADS]

    def _led_by_waveform(self, transducer: Transducer) -> WaveformRollout:
        """A run of its own: PyTorch, over its own features, goes on from what was rounded of ours."""
        waveform = self._waveform(transducer)
        reference = Reference(self.source, self._beam_width, self.cache)
        reference.lead = waveform.lead
        for index, step in enumerate(self.progress(reference.run(self.samples), self.num_chunks)):
            waveform.follow(step, index)
        return waveform

    def _waveform(self, transducer: Transducer) -> WaveformRollout:
        return WaveformRollout(self.manifest, transducer, self._follower(transducer), self.samples)

    def _follower(self, transducer: Transducer) -> BeamFollower:
        return BeamFollower(self.source, transducer, self._beam_width, self.search)

    def _buffer(self) -> SampleBuffer:
        return SampleBuffer(self.samples, finished=True)


def _tokens(last: ReferenceStep | None) -> list[int]:
    """The best hypothesis of a step."""
    return list(last.hypotheses[0][0][1:]) if last else []
