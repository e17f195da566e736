"""Rows of a report without a measurement."""

from emf.quantize.accuracy import EditTotals
from emf.quantize.report.report import Audio, MachineAndMemory, Recommendation, Report
from emf.quantize.report.rows import Curves, Diagnostics, MemoryTraffic, OperatorTime, Precision, VariantRow
from emf.runtime.artifact.manifest import GRAPH_NAMES
from emf.runtime.measure.decoding_used import DecodingUsed
from emf.runtime.measure.figures import LatencyStatistics, StreamFigures
from emf.runtime.measure.machine import Machine

EDITS = EditTotals(3, 2, 1)


def figures(p50: float) -> StreamFigures:
    latency = LatencyStatistics(p50, p50, 2 * p50, 3 * p50)
    return StreamFigures(50, 8.0, latency, {"encoder": p50, "search": 0.5}, latency, latency, p50 / 160)


def variant_row(name: str, p50: float = 4.0, delta: float = 0.0) -> VariantRow:
    return VariantRow(
        name=name,
        backend=name.partition("/")[0],
        precision=Precision(dict.fromkeys(GRAPH_NAMES, "fp32"), dict.fromkeys(GRAPH_NAMES, "f32"), ()),
        bytes=2**20,
        size_ratio=0.25,
        wer=0.1 + delta,
        cer=0.05,
        edits=EDITS,
        wer_delta=delta,
        wer_delta_ci95=(delta - 0.001, delta + 0.001),
        token_agreement=1.0,
        blank_penalty=0.0,
        batch_invariant=True,
        figures=figures(p50),
        peak_rss_bytes=2**27,
        diagnostics=Diagnostics((30.0, 29.0), (OperatorTime("MatMul", "gemm", "float32", 9.0, 30.0),), "", None),
        bandwidth=MemoryTraffic({"encoder": 2**20}, 2**10, 2**20 + 2**10, 6e6, 0.1, "L2"),
        curves=Curves((1.0, 2.0), {"encoder": (0.5, 1.0)}, (1.0, 2.0)),
    )


def report_of(*variants: VariantRow) -> Report:
    return Report(
        artifact="example",
        provenance={"model": "none"},
        audio=Audio(utterances=4, seconds=90.0, words=60, speakers=2),
        decoding=DecodingUsed("beam", 10, 2, "windowed"),
        machine=MachineAndMemory(Machine("some processor", (), 2, 2**33, "Linux", "3.11"), {}, 2.0**34),
        variants=variants,
        baselines=(),
        component_matrix={},
        recommendation=Recommendation(variants[0].name, "a < b"),
    )
