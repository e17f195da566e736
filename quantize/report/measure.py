"""Measure all variants of an artifact on the same audio: the data that every form of the report shows."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emf.quantize.accuracy import ErrorCounts, character_error_rate, paired_bootstrap, token_agreement, word_counts
from emf.quantize.evaluation import Evaluation, evaluate
from emf.quantize.report.bandwidth import audit
from emf.quantize.report.conversion import read_conversion
from emf.quantize.report.curves import Curves
from emf.quantize.report.diagnostics import ExamineOptions, examine
from emf.quantize.report.pytorch_rows import PyTorchModel, pytorch_row
from emf.quantize.report.recommend import recommend
from emf.quantize.report.report import Audio, MachineAndMemory, Report
from emf.quantize.report.rows import BaselineRow, FailedBaseline, MatrixRow, Precision, VariantRow
from emf.quantize.scratch_artifact import scratch_artifact
from emf.quantize.variant import PROVENANCE
from emf.runtime.artifact.manifest import GRAPH_NAMES, Manifest
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.measure.bandwidth import cache_bytes, measure_bandwidth
from emf.runtime.measure.baselines import baseline_names
from emf.runtime.measure.decoding_used import DecodingUsed
from emf.runtime.measure.machine import describe_machine
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.speech.utterances import Utterance

MATRIX_PRECISION = "int8"
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What to measure.

    Attributes:
        variants: the float variant of every backend among them is added.
        decoding: how all of them decode.
        examine: how long to look at drift and at load.
        component_matrix: also decode the 2³ mixtures of float and INT8 components.
        max_wer_increase: what the recommendation allows.
        pytorch: also decode with PyTorch, in each of the installed baselines' ways.
    """

    variants: Sequence[Variant]
    decoding: Decoding
    examine: ExamineOptions
    component_matrix: bool = True
    max_wer_increase: float = 0.003
    pytorch: PyTorchModel | None = None


@dataclass(frozen=True, slots=True)
class _Measured:
    """A variant's evaluation and its word errors."""

    evaluation: Evaluation
    counts: ErrorCounts


class Reporter:
    """Measures one variant after the other."""

    def __init__(self, manifest: Manifest, utterances: Sequence[Utterance], options: ReportOptions, step: Step) -> None:
        """Prepare to measure.

        Args:
            manifest: of the artifact.
            utterances: held-out speech with transcripts.
            options: what to measure.
            step: told what comes next, before each piece of work.

        Raises:
            ArtifactError: the record of a conversion is damaged.
        """
        read_conversion(manifest.provenance)
        self._manifest = manifest
        self._utterances = utterances
        self._references = [utterance.transcript or "" for utterance in utterances]
        self._options = options
        self._step = step
        self._measured: dict[Variant, _Measured] = {}

    def run(self) -> Report:
        """Measure everything."""
        decoding = self._options.decoding
        self._step("memory bandwidth")
        bandwidth = measure_bandwidth(decoding.options.threads)
        chosen = variants_with_float(self._options.variants)
        for variant in chosen:
            self._step(f"{variant}: decoding")
            self._measured[variant] = self._measure(self._manifest.root, variant)
        variants = tuple(self._variant_row(variant, bandwidth) for variant in chosen)
        return Report(
            artifact=self._manifest.root.name,
            provenance={k: v for k, v in self._manifest.provenance.items() if k != PROVENANCE},
            audio=self._audio(),
            decoding=DecodingUsed.of(decoding, self._manifest),
            machine=MachineAndMemory(describe_machine(), cache_bytes(), bandwidth),
            variants=variants,
            baselines=self._baselines(),
            component_matrix=self._matrices() if self._options.component_matrix else {},
            recommendation=recommend(variants, self._options.max_wer_increase),
        )

    def _measure(self, artifact: Path, variant: Variant) -> _Measured:
        evaluation = evaluate(artifact, variant, self._utterances, self._options.decoding)
        return _Measured(evaluation, word_counts(self._references, evaluation.texts))

    def _audio(self) -> Audio:
        first = next(iter(self._measured.values()))
        return Audio(
            utterances=len(self._utterances),
            seconds=first.evaluation.measurements.audio,
            words=int(first.counts.lengths.sum()),
            speakers=len({utterance.speaker for utterance in self._utterances}),
        )

    def _variant_row(self, variant: Variant, bandwidth: float) -> VariantRow:
        graphs, floats = self._manifest.variant(variant), self._manifest.variant(variant.float_variant)
        measured, baseline = self._measured[variant], self._measured[variant.float_variant]
        evaluation = measured.evaluation
        size, float_size = (sum(graph.bytes for graph in group.values()) for group in (graphs, floats))
        record = self._manifest.provenance.get(PROVENANCE, {}).get(str(variant), {})
        self._step(f"{variant}: drift, operators, load")
        return VariantRow(
            name=str(variant),
            backend=variant.backend,
            precision=Precision(
                asked={g: record["recipe"][g]["precision"] if record else FLOAT for g in GRAPH_NAMES},
                read_back=evaluation.precision,
                mismatch=_mismatches({g: graphs[g].properties for g in GRAPH_NAMES}, evaluation.precision),
            ),
            bytes=size,
            size_ratio=size / float_size,
            wer=measured.counts.rate,
            cer=character_error_rate(self._references, evaluation.texts),
            edits=measured.counts.totals(),
            wer_delta=measured.counts.rate - baseline.counts.rate,
            wer_delta_ci95=paired_bootstrap(baseline.counts, measured.counts),
            token_agreement=token_agreement(baseline.evaluation.measurements.tokens, evaluation.measurements.tokens),
            blank_penalty=evaluation.blank_penalty,
            batch_invariant=bool(record.get("batch_invariant", True)),
            figures=evaluation.measurements.figures(),
            peak_rss_bytes=evaluation.peak_rss_bytes,
            diagnostics=examine(
                self._manifest.root, variant, self._utterances, self._options.decoding, self._options.examine
            ),
            bandwidth=audit(self._manifest, graphs, bandwidth),
            curves=Curves.of(evaluation.measurements),
        )

    def _baselines(self) -> tuple[BaselineRow | FailedBaseline, ...]:
        """PyTorch's rows; torchaudio has one search and one frontend, whatever the variants decode with."""
        model, decoding = self._options.pytorch, self._options.decoding
        if model is None:
            return ()
        rows: list[BaselineRow | FailedBaseline] = []
        for name in baseline_names():
            self._step(f"{name}: decoding")
            rows.append(pytorch_row(self._manifest.root, name, model, self._utterances, decoding))
        return tuple(rows)

    def _matrices(self) -> dict[str, tuple[MatrixRow, ...]]:
        """WER of every mixture of float and INT8 graphs, for each backend that has an INT8 variant."""
        return {backend: self._matrix(backend) for backend in _backends_of_matrices(self._manifest)}

    def _matrix(self, backend: str) -> tuple[MatrixRow, ...]:
        rows = []
        with scratch_artifact(self._manifest, backend, None, (FLOAT, MATRIX_PRECISION)) as bench:
            for parts in itertools.product((FLOAT, MATRIX_PRECISION), repeat=len(GRAPH_NAMES)):
                name = parts[0] if len(set(parts)) == 1 else "+".join(parts)
                measured = self._measured.get(Variant(backend, name))
                if measured is None:
                    self._step(f"{backend}: {name}")
                    mixed = bench.mix(name, dict(zip(GRAPH_NAMES, parts, strict=True)))
                    measured = self._measure(bench.folder, mixed)
                precisions = dict(zip(GRAPH_NAMES, parts, strict=True))
                rows.append(MatrixRow(**precisions, wer=measured.counts.rate, edits=measured.counts.totals()))
        return tuple(rows)


def variants_with_float(variants: Sequence[Variant]) -> list[Variant]:
    """The variants asked for, each backend's float variant before its others."""
    order = {backend: index for index, backend in enumerate(dict.fromkeys(v.backend for v in variants))}
    wanted = dict.fromkeys([*(Variant(backend, FLOAT) for backend in order), *variants])
    return sorted(wanted, key=lambda variant: order[variant.backend])


def number_of_steps(manifest: Manifest, options: ReportOptions) -> int:
    """How often a report tells what comes next, at the most."""
    matrices = len(_backends_of_matrices(manifest))
    baselines = len(baseline_names()) if options.pytorch else 0
    return 1 + 2 * len(variants_with_float(options.variants)) + baselines + 8 * matrices * options.component_matrix


def _backends_of_matrices(manifest: Manifest) -> list[str]:
    return [backend for backend in manifest.backends if Variant(backend, MATRIX_PRECISION) in manifest.variants]


def _mismatches(asked: Mapping[str, Mapping[str, str]], found: Mapping[str, str]) -> tuple[str, ...]:
    """Graphs whose arithmetic is not what the variant asks of the backend."""
    hints = {name: properties.get("INFERENCE_PRECISION_HINT") for name, properties in asked.items()}
    return tuple(name for name, hint in hints.items() if hint is not None and found[name].partition("/")[0] != hint)
