"""The check that every export ends with: PyTorch and each backend side by side, states chained."""

import logging
from collections.abc import Callable, Iterable

from emf.export.model import SourceModel
from emf.export.parity.beam_follower import BeamFollower
from emf.export.parity.deviations import Deviations
from emf.export.parity.reference import Reference, ReferenceStep
from emf.export.parity.rollout import FeatureRollout, PassRollout, WaveformRollout
from emf.export.parity.token_chain import follow_tokens
from emf.export.parity.verification import Verification, WaveformVerification
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.audio.features import WindowedFeatures
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.errors import ToleranceError
from emf.runtime.inference.threads import available_processors
from emf.runtime.inference.transducer import Transducer, open_transducer
from emf.runtime.search.run import Advance, advance

_LOGGER = logging.getLogger(__name__)

BEAM_WIDTH = 10
_LEADS = (0, 1, 3)
"""Single steps before the first pass over several segments: passes begin at other places of the states' rings."""
Progress = Callable[[Iterable[ReferenceStep], int], Iterable[ReferenceStep]]


def verify(
    source: SourceModel,
    manifest: Manifest,
    samples: FloatArray,
    atol: float,
    progress: Progress = lambda steps, _: steps,
    precision: str = FLOAT,
    search: Advance = advance,
    from_waveform: bool = False,
) -> Verification:
    """Roll the model over audio in PyTorch and in every backend of the artifact and compare everything.

    Args:
        source: the model as torchaudio runs it.
        manifest: the artifact.
        samples: mono audio at the model's rate; used whole, from the first chunk through the flush.
        atol: greatest absolute deviation allowed of any tensor.
        progress: wraps the loop over steps, of which the second argument is the number.
        precision: variant to compare.
        search: how the backends' side searches.
        from_waveform: also compare the tokens of streams that begin with our own frontend.

    Raises:
        ToleranceError: naming the first tensor that leaves the tolerance, or the backend whose
            search gives other tokens or scores than torchaudio's.
    """
    threads = available_processors()
    # torchaudio's search cannot use more hypotheses than there are symbols beside the blank.
    beam_width = min(BEAM_WIDTH, source.geometry.num_symbols - 1)
    transducers = [open_transducer(manifest, Variant(backend, precision), threads) for backend in manifest.backends]

    def follower(transducer: Transducer) -> BeamFollower:
        return BeamFollower(source, transducer, beam_width, search)

    rollouts = [FeatureRollout(t, Deviations(t.variant.backend, atol), follower(t)) for t in transducers]
    passes = [
        PassRollout(r.transducer, r.deviations, lead) for r in rollouts if r.transducer.segments > 1 for lead in _LEADS
    ]
    waveforms = [WaveformRollout(manifest, t, follower(t), samples) for t in transducers] if from_waveform else []
    reference = Reference(source, beam_width)
    extractor = WindowedFeatures(manifest.frontend, manifest.geometry)
    buffer = SampleBuffer(samples, finished=True)
    num_chunks = -(-len(samples) // manifest.samples_per_step)
    encodings: list[FloatArray] = []
    last: ReferenceStep | None = None
    for index, last in enumerate(progress(reference.run(samples), num_chunks)):
        features = extractor.extract(buffer, index)
        for rollout in rollouts:
            rollout.deviations.compare("features", features, last.exact_features, f"chunk {index}")
            rollout.follow(last, index)
        for one in passes:
            one.follow(last, index)
        for waveform in waveforms:
            waveform.follow(last, index)
        encodings.append(last.encoding[0])
    tokens = last.hypotheses[0][0][1:] if last else []
    for rollout in rollouts:
        follow_tokens(source, rollout.transducer, rollout.deviations, tokens, encodings)
        if rollout.beams.mistake is not None:
            raise ToleranceError(f"{rollout.deviations.backend}: {rollout.beams.mistake}")
    beams = [rollout.beams for rollout in rollouts]
    return Verification(
        seconds=len(samples) / source.frontend.sample_rate,
        chunks=num_chunks,
        num_tokens=len(tokens),
        tokens_equal=all(beam.best_equal for beam in beams),
        score_error=max(beam.score_error for beam in beams),
        deviations={rollout.deviations.backend: rollout.deviations for rollout in rollouts},
        ties=tuple(tie for beam in beams for tie in beam.ties),
        waveforms=tuple(
            WaveformVerification(
                t.variant.backend, w.beams.best_equal, w.beams.score_error, tuple(w.beams.ties), w.beams.mistake
            )
            for t, w in zip(transducers, waveforms, strict=False)
        ),
    )
