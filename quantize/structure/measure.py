"""Everything that `emf-report --what-if` was asked for, measured in a process of its own."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emf.quantize.fresh_process import call_in_fresh_process
from emf.quantize.structure.encoder import Encoder
from emf.quantize.structure.experts.trial import ExpertsTrial
from emf.quantize.structure.geometry import what_if_geometry
from emf.quantize.structure.ranks import what_if_ranks
from emf.quantize.structure.rows import WhatIf
from emf.quantize.structure.speech import REFERENCE, Speech
from emf.quantize.structure.vocabulary import what_if_vocabulary
from emf.quantize.structure.weights import read_weights
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.commands.progress import progress_bar
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.speech.utterances import Utterance

QUESTIONS = ("experts", "geometry", "ranks", "vocabulary")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class WhatIfOptions:
    """What to measure.

    Attributes:
        questions: some of `QUESTIONS`.
        seconds: of audio, at the most.
    """

    questions: Sequence[str]
    seconds: float = 240.0


def what_if(artifact: Path, utterances: Sequence[Utterance], decoding: Decoding, options: WhatIfOptions) -> WhatIf:
    """Measure in a new process, in which numpy has one thread: its own get in the way of the backends'.

    Raises:
        UsageError, ArtifactError: the artifact has no float graph for ONNX Runtime, or not one to take apart.
        AudioError: too little speech.
        ToleranceError: the weights are not all that the graph computes.
    """
    with _environment(_ONE_THREAD):
        return call_in_fresh_process(_in_process, artifact, tuple(utterances), decoding, options)


def _in_process(artifact: Path, utterances: Sequence[Utterance], decoding: Decoding, options: WhatIfOptions) -> WhatIf:
    with progress_bar(None, "what if", "step") as advance:
        return measure(artifact, utterances, decoding, options, lambda what: advance(1, what))


def measure(
    artifact: Path,
    utterances: Sequence[Utterance],
    decoding: Decoding,
    options: WhatIfOptions,
    step: Callable[[str], None],
) -> WhatIf:
    """Measure here; see `what_if`. `step` is told what comes next."""
    weights = read_weights(read_manifest(artifact))
    step("the model as it is")
    decoding = decoding.of_variant(REFERENCE)
    speech = Speech(decoding.open(artifact), decoding, utterances, options.seconds)
    encoder = Encoder(weights, speech.geometry)
    error = speech.check(encoder)
    encodings = speech.encode(encoder)
    said = speech.said(speech.search(encodings))
    asked, threads = options.questions, decoding.options.threads
    return WhatIf(
        seconds=speech.seconds,
        words=int(said.counts.lengths.sum()),
        wer=said.counts.rate,
        step_error=error,
        experts=ExpertsTrial(speech, weights, said, step).run(threads) if "experts" in asked else None,
        geometry=what_if_geometry(speech, weights, said, threads, step) if "geometry" in asked else None,
        ranks=what_if_ranks(speech, weights, said, step) if "ranks" in asked else None,
        vocabulary=what_if_vocabulary(speech, encodings, said, threads, step) if "vocabulary" in asked else None,
    )


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """The environment with these values, for processes that start meanwhile; what is set already stays."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
