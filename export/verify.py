"""The check that every export ends with: PyTorch and each engine side by side, states chained."""

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from emf.export.deviations import Deviations
from emf.export.model import SourceModel
from emf.export.reference import Reference, ReferenceStep
from emf.export.token_chain import follow_tokens
from emf.runtime.beam_search import beam_search
from emf.runtime.errors import ToleranceError
from emf.runtime.features import SampleBuffer, WindowedFeatures
from emf.runtime.manifest import Manifest
from emf.runtime.search import SearchOptions
from emf.runtime.search_loop import initial_search_state, run_searches
from emf.runtime.session import FloatArray
from emf.runtime.threads import resolve_num_threads
from emf.runtime.transducer import EncoderState, Transducer, open_transducer

_LOGGER = logging.getLogger(__name__)

BEAM_WIDTH = 10
SCORE_TOLERANCE = {"float32": 1e-3, "float16": 1e-2}
"""How far scores may lie apart, by the precision of the encoder's cache."""
Progress = Callable[[Iterable[ReferenceStep], int], Iterable[ReferenceStep]]


@dataclass(frozen=True)
class Verification:
    """What the check found.

    Attributes:
        seconds: audio rolled through.
        chunks: steps of the encoder.
        num_tokens: tokens of torchaudio's best hypothesis at the end.
        tokens_equal: our beam search gave torchaudio's tokens after every chunk, on every engine.
        score_error: greatest difference of a hypothesis' score, natural logarithm.
        deviations: by engine.
    """

    seconds: float
    chunks: int
    num_tokens: int
    tokens_equal: bool
    score_error: float
    deviations: dict[str, Deviations]


class _EngineRollout:
    """One engine following the reference: its own encoder states, its own search."""

    def __init__(self, transducer: Transducer, deviations: Deviations, beam_width: int) -> None:
        self.transducer = transducer
        self.deviations = deviations
        self.beam_width = beam_width
        self.encoder_state = transducer.initial_encoder_state()
        halves = any(tensor.dtype == "float16" for tensor in transducer.graphs["encoder"].inputs)
        self.score_tolerance = SCORE_TOLERANCE["float16" if halves else "float32"]
        start = transducer.initial_predictor_state()
        self.search_state = initial_search_state(transducer, transducer.blank_id, start)
        self.tokens_equal = True
        self.score_error = 0.0
        self.scores_equal = True

    def follow(self, step: ReferenceStep, index: int) -> None:
        place = f"chunk {index}"
        encoding = self.transducer.encode(step.features[None], [self.encoder_state])[0]
        self.deviations.compare("encoder.encoding", encoding, step.encoding, place)
        for name, expected in step.states.items():
            found = in_time_order(self.encoder_state, self.transducer, name)
            self.deviations.compare(f"encoder.{name}", found, expected, place)
        options = SearchOptions(beam_width=self.beam_width)
        (self.search_state,) = run_searches(
            [beam_search(encoding, self.search_state, options)], self.transducer, options
        )
        self._compare_hypotheses(step)

    def _compare_hypotheses(self, step: ReferenceStep) -> None:
        ours, theirs = self.search_state.hypotheses, step.hypotheses
        self.tokens_equal &= list(ours[0].tokens) == theirs[0][0][1:]
        scores = {tuple(hypothesis[0][1:]): hypothesis[3] for hypothesis in theirs}
        for hypothesis in ours:
            if hypothesis.tokens in scores:
                error = abs(hypothesis.score - scores[hypothesis.tokens])
                self.score_error = max(self.score_error, error)
                rounding = score_rounding(hypothesis.score, self.search_state.num_frames)
                self.scores_equal &= error <= self.score_tolerance + rounding


def score_rounding(score: float, num_frames: int) -> float:
    """How far rounding alone moves two scores of the same hypothesis apart.

    Both are sums over all frames so far, in float32 as torchaudio keeps them: every addition rounds
    by up to half a unit in the score's last place, and n roundings wander off by its square root of n.
    """
    return 0.5 * float(np.spacing(np.float32(abs(score)))) * math.sqrt(num_frames)


def in_time_order(state: EncoderState, transducer: Transducer, name: str) -> FloatArray:
    """A state tensor with its ring unrolled, oldest entries first."""
    (spec,) = (spec for spec in transducer.graphs["encoder"].states if spec.input == name)
    array = state.arrays[name].astype(np.float32)
    if spec.update == "replace":
        return array
    output = next(t for t in transducer.graphs["encoder"].outputs if t.name == spec.output)
    return np.roll(array, -state.steps * int(output.shape[spec.axis] or 1), axis=spec.axis)


def verify(
    source: SourceModel,
    manifest: Manifest,
    samples: FloatArray,
    atol: float,
    progress: Progress = lambda steps, _: steps,
    precision: str = "fp32",
) -> Verification:
    """Roll the model over audio in PyTorch and in every engine of the artifact and compare everything.

    Args:
        source: the model as torchaudio runs it.
        manifest: the artifact.
        samples: mono audio at the model's rate; used whole, from the first chunk through the flush.
        atol: greatest absolute deviation allowed of any tensor.
        progress: wraps the loop over steps, of which the second argument is the number.
        precision: variant to compare.

    Raises:
        ToleranceError: naming the first tensor that leaves the tolerance, or the engine whose
            search gives other tokens or scores than torchaudio's.
    """
    frontend, geometry = source.frontend, source.geometry
    threads = resolve_num_threads(None)
    # torchaudio's search cannot use more hypotheses than there are symbols beside the blank.
    beam_width = min(BEAM_WIDTH, geometry.num_symbols - 1)
    rollouts = [
        _EngineRollout(open_transducer(manifest, backend, precision, threads), Deviations(backend, atol), beam_width)
        for backend in manifest.backends
    ]
    reference = Reference(source, beam_width)
    extractor = WindowedFeatures(manifest.frontend, manifest.geometry)
    buffer = SampleBuffer(samples, finished=True)
    num_chunks = -(-len(samples) // (geometry.segment_length * frontend.hop_length))
    encodings: list[FloatArray] = []
    last: ReferenceStep | None = None
    for index, last in enumerate(progress(reference.run(samples), num_chunks)):
        features = extractor.extract(buffer, index)
        for rollout in rollouts:
            rollout.deviations.compare("features", features, last.exact_features, f"chunk {index}")
            rollout.follow(last, index)
        encodings.append(last.encoding[0])
    tokens = last.hypotheses[0][0][1:] if last else []
    for rollout in rollouts:
        follow_tokens(source, rollout.transducer, rollout.deviations, tokens, encodings)
        _require_equal_search(rollout)
    return Verification(
        seconds=len(samples) / frontend.sample_rate,
        chunks=num_chunks,
        num_tokens=len(tokens),
        tokens_equal=all(rollout.tokens_equal for rollout in rollouts),
        score_error=max(rollout.score_error for rollout in rollouts),
        deviations={rollout.deviations.backend: rollout.deviations for rollout in rollouts},
    )


def _require_equal_search(rollout: _EngineRollout) -> None:
    backend = rollout.deviations.backend
    if not rollout.tokens_equal:
        raise ToleranceError(f"{backend}: beam search gives other tokens than torchaudio's RNNTBeamSearch")
    if not rollout.scores_equal:
        raise ToleranceError(f"{backend}: scores deviate from torchaudio's by {rollout.score_error:.1e}")
