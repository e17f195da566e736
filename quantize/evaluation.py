"""A variant decodes a corpus: its texts, its errors, its times, its memory, the precision it really has.

Each variant runs in a process of its own, so that its memory is its own and no other backend's
threads are about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from emf.quantize.corpus import load_samples
from emf.quantize.fresh_process import call_in_fresh_process
from emf.runtime.artifact.variant import Variant
from emf.runtime.measure.latency import Measurements, measure_stream
from emf.runtime.measure.machine import peak_rss_bytes
from emf.runtime.measure.timing import ComponentTimes
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.speech.utterances import Utterance


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one variant did with a corpus.

    Attributes:
        variant: which.
        texts: one an utterance.
        measurements: times and tokens.
        precision: arithmetic of each graph as read back from the backend.
        blank_penalty: that was used.
        peak_rss_bytes: greatest resident memory of the variant's own process.
    """

    variant: Variant
    texts: tuple[str, ...]
    measurements: Measurements
    precision: dict[str, str]
    blank_penalty: float
    peak_rss_bytes: int


class Evaluate(Protocol):
    """What decodes a corpus with one variant."""

    def __call__(
        self, artifact: Path, variant: Variant, utterances: Sequence[Utterance], decoding: Decoding
    ) -> Evaluation:
        """Decode every utterance.

        Args:
            artifact: its folder.
            variant: of the artifact.
            utterances: what to decode.
            decoding: how, whatever variant it names.
        """


def evaluate(artifact: Path, variant: Variant, utterances: Sequence[Utterance], decoding: Decoding) -> Evaluation:
    """Decode every utterance in a new process; see `Evaluate`."""
    return call_in_fresh_process(evaluate_here, artifact, variant, tuple(utterances), decoding)


def evaluate_here(artifact: Path, variant: Variant, utterances: Sequence[Utterance], decoding: Decoding) -> Evaluation:
    """Decode every utterance in this process; see `Evaluate`."""
    times = ComponentTimes()
    recognizer = decoding.of_variant(variant).open(artifact, instrument=times)
    warm_up = load_samples(utterances[0], recognizer.sample_rate)
    measure_stream(recognizer, times, warm_up, Measurements())
    measurements = Measurements()
    for utterance in utterances:
        measure_stream(recognizer, times, load_samples(utterance, recognizer.sample_rate), measurements)
    return Evaluation(
        variant=variant,
        texts=tuple(recognizer.tokens.text(tokens) for tokens in measurements.tokens),
        measurements=measurements,
        precision=dict(recognizer.transducer.precision),
        blank_penalty=recognizer.options.blank_penalty,
        peak_rss_bytes=peak_rss_bytes(),
    )
