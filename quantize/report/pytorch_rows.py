"""PyTorch decodes the corpus in each of its ways: the rows that the variants are compared with.

Each way runs in a process of its own, as the variants do. One that fails is a row that says so: which of
PyTorch's ways work depends on the machine and on what is installed beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emf.quantize.accuracy import character_error_rate, word_counts
from emf.quantize.corpus import load_samples
from emf.quantize.fresh_process import call_in_fresh_process
from emf.quantize.report.rows import BaselineRow, FailedBaseline
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.tokens import load_tokens
from emf.runtime.errors import EmfError
from emf.runtime.measure.baselines import load_baseline
from emf.runtime.measure.latency import Measurements
from emf.runtime.measure.machine import peak_rss_bytes
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.speech.utterances import Utterance


@dataclass(frozen=True, slots=True)
class PyTorchModel:
    """The weights that PyTorch runs.

    Attributes:
        checkpoint: `demo`, `librispeech` or a file.
        config: JSON file of the model's sizes; `None` is the base model.
    """

    checkpoint: str
    config: str | None = None


def pytorch_row(
    artifact: Path,
    name: str,
    model: PyTorchModel,
    utterances: Sequence[Utterance],
    decoding: Decoding,
) -> BaselineRow | FailedBaseline:
    """Decode every utterance with one baseline in a new process; a row of `baselines` in `report.json`."""
    try:
        return call_in_fresh_process(_measure, artifact, name, model, tuple(utterances), decoding)
    except EmfError as error:
        return FailedBaseline(name, str(error))


def _measure(
    artifact: Path,
    name: str,
    model: PyTorchModel,
    utterances: Sequence[Utterance],
    decoding: Decoding,
) -> BaselineRow:
    manifest = read_manifest(artifact)
    rate, tokens = manifest.frontend.sample_rate, load_tokens(manifest)
    measurements = Measurements()
    factory = load_baseline(name)
    options = decoding.options
    try:
        baseline = factory(manifest, model.checkpoint, model.config, options.beam_width, options.threads)
        baseline.measure(load_samples(utterances[0], rate), Measurements())
        for utterance in utterances:
            baseline.measure(load_samples(utterance, rate), measurements)
    except (RuntimeError, NotImplementedError, TypeError, ImportError) as error:
        raise EmfError(f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}") from error
    references = [utterance.transcript or "" for utterance in utterances]
    texts = [tokens.text(ids) for ids in measurements.tokens]
    counts = word_counts(references, texts)
    return BaselineRow(
        name=name,
        wer=counts.rate,
        cer=character_error_rate(references, texts),
        edits=counts.totals(),
        figures=measurements.figures(),
        peak_rss_bytes=peak_rss_bytes(),
    )
