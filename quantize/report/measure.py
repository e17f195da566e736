"""Measure all variants of one or more artifacts on the same audio: the data that every form of the report shows."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emf.quantize.accuracy import ErrorCounts, character_error_rate, paired_bootstrap, token_agreement, word_counts
from emf.quantize.evaluation import Evaluation, evaluate
from emf.quantize.report.artifacts import ReportedArtifact
from emf.quantize.report.bandwidth import audit
from emf.quantize.report.conversion import read_conversion
from emf.quantize.report.diagnostics import ExamineOptions, examine
from emf.quantize.report.pytorch_rows import PyTorchModel, pytorch_row
from emf.quantize.report.recommend import recommend
from emf.quantize.report.report import ArtifactRecord, Audio, Compared, MachineAndMemory, Report
from emf.quantize.report.rows import BaselineRow, Curves, FailedBaseline, MatrixRow, Precision, VariantRow
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
        decoding: how all of them decode.
        examine: how long to look at drift and at load.
        component_matrix: also decode the 2³ mixtures of float and INT8 components.
        max_wer_increase: what the recommendation allows.
        pytorch: also decode with PyTorch, in each of the installed baselines' ways.
    """

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

    def __init__(
        self,
        artifacts: Sequence[ReportedArtifact],
        utterances: Sequence[Utterance],
        options: ReportOptions,
        step: Step,
    ) -> None:
        """Prepare to measure.

        Args:
            artifacts: with the variants to measure; all are compared with the first artifact.
            utterances: held-out speech with transcripts.
            options: what to measure.
            step: told what comes next, before each piece of work.

        Raises:
            ArtifactError: the record of a conversion is damaged.
        """
        for artifact in artifacts:
            read_conversion(artifact.manifest.provenance)
        self._artifacts = artifacts
        self._first = artifacts[0]
        self._utterances = utterances
        self._references = [utterance.transcript or "" for utterance in utterances]
        self._options = options
        self._step = step
        self._measured: dict[str, _Measured] = {}

    def run(self) -> Report:
        """Measure everything."""
        decoding = self._options.decoding
        self._step("memory bandwidth")
        bandwidth = measure_bandwidth(decoding.options.threads)
        chosen = [(artifact, variant) for artifact in self._artifacts for variant in artifact.variants]
        for artifact, variant in chosen:
            name = artifact.name(variant)
            self._step(f"{name}: decoding")
            self._measured[name] = self._measure(artifact.manifest.root, variant)
        variants = tuple(self._variant_row(artifact, variant, bandwidth) for artifact, variant in chosen)
        records = tuple(ArtifactRecord(one.label, _provenance(one.manifest)) for one in self._artifacts)
        manifest = self._first.manifest
        return Report(
            artifact=self._first.label or manifest.root.name,
            provenance=_provenance(manifest),
            audio=self._audio(),
            decoding=DecodingUsed.of(decoding, manifest),
            machine=MachineAndMemory(describe_machine(), cache_bytes(), bandwidth),
            variants=variants,
            baselines=self._baselines(),
            component_matrix=self._matrices() if self._options.component_matrix else {},
            recommendation=recommend(variants, self._options.max_wer_increase),
            compared=Compared(records) if len(records) > 1 else None,
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

    def _variant_row(self, artifact: ReportedArtifact, variant: Variant, bandwidth: float) -> VariantRow:
        manifest, name = artifact.manifest, artifact.name(variant)
        graphs, floats = manifest.variant(variant), self._first.manifest.variant(variant.float_variant)
        measured, baseline = self._measured[name], self._measured[self._first.name(variant.float_variant)]
        evaluation = measured.evaluation
        tokens, expected = (one.evaluation.measurements.tokens for one in (measured, baseline))
        size, float_size = (sum(graph.bytes for graph in group.values()) for group in (graphs, floats))
        record = manifest.provenance.get(PROVENANCE, {}).get(str(variant), {})
        self._step(f"{name}: drift, operators, load")
        return VariantRow(
            name=name,
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
            token_agreement=token_agreement(self._first.original_ids(expected), artifact.original_ids(tokens)),
            blank_penalty=evaluation.blank_penalty,
            batch_invariant=bool(record.get("batch_invariant", True)),
            figures=evaluation.measurements.figures(),
            peak_rss_bytes=evaluation.peak_rss_bytes,
            diagnostics=examine(
                manifest.root, variant, self._utterances, self._options.decoding, self._options.examine
            ),
            bandwidth=audit(manifest, graphs, bandwidth),
            curves=Curves.of(evaluation.measurements),
            origin=artifact.origin(variant),
        )

    def _baselines(self) -> tuple[BaselineRow | FailedBaseline, ...]:
        """PyTorch's rows; torchaudio has one search and one frontend, whatever the variants decode with."""
        model, decoding = self._options.pytorch, self._options.decoding
        if model is None:
            return ()
        rows: list[BaselineRow | FailedBaseline] = []
        for name in baseline_names():
            self._step(f"{name}: decoding")
            rows.append(pytorch_row(self._first.manifest.root, name, model, self._utterances, decoding))
        return tuple(rows)

    def _matrices(self) -> dict[str, tuple[MatrixRow, ...]]:
        """WER of every mixture of float and INT8 graphs, for each backend that has an INT8 variant."""
        return {
            f"{artifact.label} {backend}".lstrip(): self._matrix(artifact, backend)
            for artifact in self._artifacts
            for backend in _backends_of_matrices(artifact.manifest)
        }

    def _matrix(self, artifact: ReportedArtifact, backend: str) -> tuple[MatrixRow, ...]:
        rows = []
        with scratch_artifact(artifact.manifest, backend, None, (FLOAT, MATRIX_PRECISION)) as bench:
            for parts in itertools.product((FLOAT, MATRIX_PRECISION), repeat=len(GRAPH_NAMES)):
                name = parts[0] if len(set(parts)) == 1 else "+".join(parts)
                shown = artifact.name(Variant(backend, name))
                measured = self._measured.get(shown)
                if measured is None:
                    self._step(f"{shown}: decoding")
                    mixed = bench.mix(name, dict(zip(GRAPH_NAMES, parts, strict=True)))
                    measured = self._measure(bench.folder, mixed)
                precisions = dict(zip(GRAPH_NAMES, parts, strict=True))
                rows.append(MatrixRow(**precisions, wer=measured.counts.rate, edits=measured.counts.totals()))
        return tuple(rows)


def number_of_steps(artifacts: Sequence[ReportedArtifact], options: ReportOptions) -> int:
    """How often a report tells what comes next, at the most."""
    variants = sum(len(artifact.variants) for artifact in artifacts)
    matrices = sum(len(_backends_of_matrices(artifact.manifest)) for artifact in artifacts)
    baselines = len(baseline_names()) if options.pytorch else 0
    return 1 + 2 * variants + baselines + 8 * matrices * options.component_matrix


def _provenance(manifest: Manifest) -> dict[str, Any]:
    """Without the records of the variants."""
    return {key: value for key, value in manifest.provenance.items() if key != PROVENANCE}


def _backends_of_matrices(manifest: Manifest) -> list[str]:
    return [backend for backend in manifest.backends if Variant(backend, MATRIX_PRECISION) in manifest.variants]


def _mismatches(asked: Mapping[str, Mapping[str, str]], found: Mapping[str, str]) -> tuple[str, ...]:
    """Graphs whose arithmetic is not what the variant asks of the backend."""
    hints = {name: properties.get("INFERENCE_PRECISION_HINT") for name, properties in asked.items()}
    return tuple(name for name, hint in hints.items() if hint is not None and found[name].partition("/")[0] != hint)
