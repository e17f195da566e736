"""The emf-bench command: how fast this artifact is on this machine."""

import argparse
import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.files import write_whole
from emf.runtime.commands.command_line import (
    CommandParser,
    Outcome,
    bounded,
    command_parser,
    command_text,
    run_command,
)
from emf.runtime.commands.progress import progress
from emf.runtime.commands.recognizer_flags import add_artifact, add_recognizer_flags, read_decoding
from emf.runtime.errors import UsageError
from emf.runtime.measure.baselines import baseline_names, load_baseline
from emf.runtime.measure.bench_page import bench_page, latency_table, load_table
from emf.runtime.measure.bench_plots import BenchPlots
from emf.runtime.measure.bench_report import (
    BenchReport,
    Capacity,
    Comparison,
    FixedLoad,
    Floored,
    FlooredLoad,
    Limits,
)
from emf.runtime.measure.capacity import find_capacity
from emf.runtime.measure.document import to_document
from emf.runtime.measure.floor import ChunkWork, MachineRates
from emf.runtime.measure.latency import Baseline, compare_streams
from emf.runtime.measure.machine import StolenTime, describe_machine, peak_rss_bytes
from emf.runtime.measure.paced_load import Load, run_load
from emf.runtime.measure.timing import ComponentTimes
from emf.runtime.pages.html import to_html
from emf.runtime.pages.plots import standalone
from emf.runtime.pages.text import text_table
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.speech.recordings import read_recordings

_LOGGER = logging.getLogger(__name__)
_MUCH_STOLEN = 0.02


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-bench",
        "Measure latency and throughput of an artifact on this machine.",
        "emf-bench artifacts/demo --audio manifest.tsv --compare torchaudio --checkpoint demo",
    )
    add_artifact(parser)
    add_recognizer_flags(parser)
    parser.add_argument(
        "--audio",
        type=Path,
        nargs="+",
        required=True,
        help="Measure with these sound files, or those of a manifest.tsv.",
    )
    parser.add_argument(
        "--max-seconds", type=bounded(float, 1, 1e6), default=1e6, help="Use at most this much audio. Default: all."
    )
    load = parser.add_argument_group("real-time streams")
    load.add_argument(
        "--streams", type=_number_of_streams, help="Also run N real-time streams, or find how many there can be: auto."
    )
    load.add_argument(
        "--deadline-ms",
        type=bounded(float, 1, 60_000),
        default=160.0,
        help="Allow a chunk this long at p99 under load. Default: 160.",
    )
    load.add_argument(
        "--load-seconds",
        type=bounded(float, 1, 3600),
        default=20.0,
        help="Run each number of streams this long. Default: 20.",
    )
    pytorch = parser.add_argument_group("comparison with PyTorch")
    pytorch.add_argument("--compare", help=f"Measure PyTorch beside it in the same run: {', '.join(baseline_names())}.")
    pytorch.add_argument("--checkpoint", help="Give PyTorch these weights: demo, librispeech or a state_dict.")
    pytorch.add_argument(
        "--config", help="Read emformer_rnnt_model's keyword arguments from this JSON file. Default: the base model's."
    )
    parser.add_argument("--out", type=Path, help="Write bench.html, bench.json and plots to this folder.")
    return parser


def _work(options: argparse.Namespace, command: str) -> Outcome:
    if options.compare and not options.checkpoint:
        raise UsageError("--compare needs --checkpoint: demo, librispeech or a state_dict")
    decoding = read_decoding(options)
    chosen = decoding.options
    if options.compare and chosen.decoding_method != "beam":
        raise UsageError(f"--compare needs --decoding-method beam, the baseline's own, found {chosen.decoding_method}")
    if options.compare and chosen.frontend is None:
        decoding = decoding.with_options(frontend="windowed")
    begin = time.perf_counter()
    times = ComponentTimes()
    recognizer = decoding.open(options.artifact, instrument=times)
    load_s = time.perf_counter() - begin
    recordings = read_recordings(options.audio, recognizer.sample_rate, options.max_seconds)
    stolen = StolenTime()
    baseline: Baseline | None = None
    if options.compare:
        manifest = recognizer.transducer.manifest
        factory = load_baseline(options.compare)
        baseline = factory(manifest, options.checkpoint, options.config, chosen.beam_width, chosen.threads)
    ours, theirs = compare_streams(
        recognizer, times, baseline, recordings, lambda items: progress(items, len(items), "measuring", "file")
    )
    peak_rss, figures = peak_rss_bytes(), ours.figures()
    limits = _measure_machine(recognizer, decoding)
    report = BenchReport(
        machine=describe_machine(),
        variant=str(recognizer.transducer.variant),
        precision=recognizer.transducer.precision,
        decoding_method=chosen.decoding_method,
        beam_width=chosen.beam_width,
        beam_threshold=chosen.beam_threshold if math.isfinite(chosen.beam_threshold) else None,
        num_threads=chosen.threads,
        figures=figures,
        floored=Floored.of(figures.chunk_ms.p50, limits.floor()),
        limits=limits,
        load_s=load_s,
        peak_rss_bytes=peak_rss,
        load=None if options.streams is None else _measure_load(options, decoding, recordings, limits),
        comparison=Comparison.of(options.compare, ours, theirs) if baseline else None,
        stolen_share=stolen.share(),
    )
    if options.out:
        measured = {report.variant: ours} | ({options.compare: theirs} if baseline else {})
        plots = BenchPlots.of(report, measured, recognizer.transducer.manifest.seconds_per_step)
        _write(options.out, report, plots, command)
    if report.stolen_share is not None and report.stolen_share > _MUCH_STOLEN:
        _LOGGER.warning(
            "the host gave %.0f %% of this machine's processor time to others: latencies are too high, repeat the "
            "measurement on an idle host",
            100 * report.stolen_share,
        )
    return Outcome(to_document(report), _describe(report))


def _write(folder: Path, report: BenchReport, plots: BenchPlots, command: str) -> None:
    """Write `bench.html`, `bench.json` and a file for every plot, each whole or not at all."""
    document = json.dumps(to_document(report), indent=1, allow_nan=False) + "\n"
    texts = {"bench.html": to_html(bench_page(report, plots, command)), "bench.json": document}
    for figure in (*plots.one_stream, *plots.streams):
        texts[f"{figure.title.lower().replace(' ', '-')}.svg"] = standalone(figure.drawing)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_whole(folder / name, text)
    except OSError as error:
        raise UsageError(f"{folder}: cannot write there ({error.strerror}); pass another --out") from error


def _number_of_streams(text: str) -> int | None:
    """`auto`, which is 0, or a number."""
    return 0 if text == "auto" else int(bounded(int, 1, 100_000)(text))


def _measure_machine(recognizer: Recognizer, decoding: Decoding) -> Limits:
    variant, options = recognizer.transducer.variant, decoding.options
    work = ChunkWork.of(recognizer.transducer.manifest, variant, options)
    return Limits(work, MachineRates.measure(variant, options.threads))


def _measure_load(
    options: argparse.Namespace, decoding: Decoding, recordings: Sequence[FloatArray], limits: Limits
) -> FixedLoad | Capacity:
    deadline, recognizer = options.deadline_ms / 1e3, decoding.open(options.artifact)

    def run(streams: int) -> Load:
        load = run_load(recognizer, recordings, streams, options.load_seconds, deadline)
        _LOGGER.info("%d streams: p99 %.1f ms", streams, load.figures().chunk_ms.p99)
        return load

    if options.streams:
        return FixedLoad(options.deadline_ms, (FlooredLoad.of(run(options.streams).figures(), limits),))
    most, loads = find_capacity(run, deadline)
    return Capacity(options.deadline_ms, most, tuple(FlooredLoad.of(load.figures(), limits) for load in loads))


def _describe(report: BenchReport) -> str:
    figures, comparison = report.figures, report.comparison
    rows = {report.variant: figures, **(comparison.figures if comparison else {})}
    lines = [*text_table(*latency_table(rows)), ""]
    parts = ", ".join(f"{name} {value:.2f}" for name, value in figures.components_ms.items())
    lines.append(f"milliseconds a chunk; mean by component: {parts}")
    lines.append(f"{figures.chunks} chunks, {figures.audio_s:.0f} s of audio, loaded in {report.load_s:.2f} s")
    stable = figures.stable_delay_ms
    lines.append(f"text stable after {stable.p50:.0f} ms at p50, {stable.p90:.0f} ms at p90")
    lines.append(_describe_floor(report))
    if report.load and report.load.loads:
        lines += ["", *text_table(*load_table(report.load.loads)), ""]
    if isinstance(report.load, Capacity):
        most = report.load.streams_realtime
        lines.append(f"real-time streams within {report.load.deadline_ms:.0f} ms at p99: {most}")
    if comparison:
        equal = "equal" if comparison.tokens_equal else "NOT equal"
        lines.append(f"speedup at p50: {comparison.speedup:.2f}; tokens {equal}")
    return "\n".join(lines)


def _describe_floor(report: BenchReport) -> str:
    work, rates = report.limits.chunk_work, report.limits.machine_rates
    line = (
        f"floor {_with_floor(report.floored)}\n  from {(work.weight_bytes + work.state_bytes) / 2**20:.1f} MiB at "
        f"{rates.read_bytes_per_second / 2**30:.1f} GiB/s"
    )
    if work.products is not None and rates.products_per_second is not None:
        line += f", {work.products / 1e6:.0f} million products at {rates.products_per_second / 1e9:.0f} billion/s"
    return line


def _with_floor(floored: Floored) -> str:
    floor = floored.floor
    arithmetic = "not known" if floor.arithmetic_ms is None else f"{floor.arithmetic_ms:.2f}"
    return (
        f"{floored.floor_ms:.2f} ms (memory {floor.memory_ms:.2f}, arithmetic {arithmetic}), "
        f"{floored.times_floor:.1f} times that"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser()
    command = command_text(parser, arguments)
    return run_command(parser, lambda options: _work(options, command), arguments)
