"""A variant decodes a corpus: its texts, its errors, its times, its memory, the precision it really has.

Each variant runs in a process of its own, so that its memory is its own and no other engine's
threads are about.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emf.quantize.corpus import load_samples
from emf.quantize.fresh_process import call_in_fresh_process
from emf.runtime.inference.instrument import Instrument
from emf.runtime.measure.latency import Measurements, measure_stream, peak_rss_bytes
from emf.runtime.measure.timing import ComponentTimes
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.speech.utterances import Utterance

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Decoding:
    """How to decode.

    Attributes:
        method: `greedy`, `beam` or `modified_beam`.
        beam_width: hypotheses kept.
        num_threads: of the engine; `None` takes all there are.
        frontend: `windowed` or `continuous`; `None` takes the artifact's.
        blank_penalty: subtracted from the blank's logit; `None` takes the variant's.
    """

    method: str = "beam"
    beam_width: int = 10
    num_threads: int | None = None
    frontend: str | None = None
    blank_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one variant did with a corpus.

    Attributes:
        variant: `<backend>/<name>`.
        texts: one an utterance.
        measurements: times and tokens.
        precision: arithmetic of each graph as read back from the engine.
        blank_penalty: that was used.
        peak_rss_bytes: greatest resident memory of the variant's own process.
    """

    variant: str
    texts: tuple[str, ...]
    measurements: Measurements
    precision: dict[str, str]
    blank_penalty: float
    peak_rss_bytes: int


def evaluate(artifact: Path, variant: str, utterances: Sequence[Utterance], decoding: Decoding) -> Evaluation:
    """Decode every utterance with one variant in a new process.

    Args:
        artifact: its folder.
        variant: `<backend>/<name>`.
        utterances: what to decode.
        decoding: how.
    """
    return call_in_fresh_process(_evaluate, artifact, variant, tuple(utterances), decoding)


def _evaluate(artifact: Path, variant: str, utterances: Sequence[Utterance], decoding: Decoding) -> Evaluation:
    times = ComponentTimes()
    recognizer = load_variant(artifact, variant, decoding, times)
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
        peak_rss_bytes=own_peak_rss_bytes(),
    )


def load_variant(artifact: Path, variant: str, decoding: Decoding, instrument: Instrument | None = None) -> Recognizer:
    """Open a variant by its name in the manifest, `<backend>/<name>`."""
    backend, _, precision = variant.partition("/")
    return Recognizer.load(
        artifact,
        backend=backend,
        precision=precision,
        decoding_method=decoding.method,
        beam_width=decoding.beam_width,
        num_threads=decoding.num_threads,
        frontend=decoding.frontend,
        blank_penalty=decoding.blank_penalty,
        instrument=instrument,
    )


def own_peak_rss_bytes() -> int:
    """Greatest resident memory of this program; `getrusage` would count the parent's before `exec` as well."""
    if sys.platform == "linux" and _STATUS.is_file():
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_rss_bytes()
