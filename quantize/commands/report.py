"""The emf-report command: all variants of an artifact, and of others beside it, compared on the same audio."""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emf.quantize.corpus import read_corpus
from emf.quantize.report.artifacts import side_by_side
from emf.quantize.report.diagnostics import ExamineOptions
from emf.quantize.report.measure import Reporter, ReportOptions, number_of_steps
from emf.quantize.report.page import report_page, what_if_page
from emf.quantize.report.pytorch_rows import PyTorchModel
from emf.quantize.report.report import Report, WhatIfReport
from emf.quantize.report.tables import variants_table
from emf.quantize.structure.measure import QUESTIONS, WhatIfOptions, what_if
from emf.quantize.variant import PROVENANCE
from emf.runtime.artifact.files import write_whole
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.commands.command_line import (
    CommandParser,
    Outcome,
    bounded,
    command_parser,
    command_text,
    one_of,
    run_command,
)
from emf.runtime.commands.progress import progress_bar
from emf.runtime.commands.recognizer_flags import VARIANT_OPTIONS, add_recognizer_flags, read_decoding
from emf.runtime.errors import UsageError
from emf.runtime.measure.decoding_used import DecodingUsed
from emf.runtime.measure.document import to_document
from emf.runtime.measure.machine import describe_machine
from emf.runtime.pages.content import Page
from emf.runtime.pages.html import to_html
from emf.runtime.pages.markdown import to_markdown
from emf.runtime.pages.text import text_table
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.speech.utterances import Utterance


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-report",
        "Compare all variants of one or more artifacts on held-out speech: words, latency, memory; and recommend one.",
        "emf-report artifacts/demo --audio held_out/manifest.tsv --out report",
    )
    parser.add_argument("artifact", type=Path, help="Open this folder, which emf-export wrote.")
    parser.add_argument(
        "--audio", type=Path, required=True, help="Measure with this manifest.tsv of held-out speech with transcripts."
    )
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="Also measure these artifacts of the same checkpoint, such as converted ones, and compare all with the "
        "first one. Default: none.",
    )
    parser.add_argument(
        "--variants",
        help="Compare these variants of each artifact: <backend>/<name>, separated by commas. Default: all; with "
        "--what-if and without --compare none.",
    )
    measured = parser.add_argument_group("what is measured")
    measured.add_argument(
        "--drift-seconds",
        type=bounded(float, 1, 86_400),
        default=180.0,
        help="Measure the encoder's drift over this much audio. Default: 180.",
    )
    measured.add_argument(
        "--load-seconds",
        type=bounded(float, 0, 3600),
        default=0.0,
        help="Find how many real-time streams there can be, running each number this long. Default: 0, none.",
    )
    measured.add_argument(
        "--deadline-ms",
        type=bounded(float, 1, 60_000),
        default=160.0,
        help="Allow a chunk this long at p99 under load. Default: 160.",
    )
    measured.add_argument("--no-component-matrix", action="store_true", help="Leave the 2³ mixtures of components out.")
    parser.add_argument(
        "--max-wer-increase",
        type=bounded(float, 0, 1),
        default=0.003,
        help="Recommend variants with at most this much more WER than fp32. Default: 0.003.",
    )
    structure = parser.add_argument_group("what if the structure were another")
    structure.add_argument(
        "--what-if",
        type=one_of(QUESTIONS),
        default=(),
        metavar="QUESTIONS",
        help="Measure structures that are not there, without converting anything: some of experts, geometry, ranks and "
        "vocabulary, separated by commas. Default: none.",
    )
    structure.add_argument(
        "--what-if-seconds",
        type=bounded(float, 1, 86_400),
        default=240.0,
        help="Measure what-ifs on this much of the audio, taken evenly. Default: 240.",
    )
    pytorch = parser.add_argument_group("comparison with PyTorch")
    pytorch.add_argument(
        "--checkpoint", help="Also measure PyTorch with these weights: demo, librispeech or a state_dict."
    )
    pytorch.add_argument(
        "--config", help="Read emformer_rnnt_model's keyword arguments from this JSON file. Default: the base model's."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("report"), help="Write the report to this folder. Default: report."
    )
    add_recognizer_flags(parser, omit=VARIANT_OPTIONS)
    return parser


def _work(options: argparse.Namespace, command: str) -> Outcome:
    manifest = read_manifest(options.artifact)
    utterances = read_corpus(options.audio, transcripts=True)
    decoding = read_decoding(options, omit=VARIANT_OPTIONS)
    asked = WhatIfOptions(options.what_if, options.what_if_seconds)
    if options.what_if and options.variants is None and not options.compare:
        return _what_if_alone(manifest, utterances, decoding, asked, options.out, command)
    manifests = [manifest, *map(read_manifest, options.compare)]
    artifacts = side_by_side(manifests, "all" if options.variants is None else options.variants)
    chosen = ReportOptions(
        decoding=decoding,
        examine=ExamineOptions(options.drift_seconds, options.load_seconds, options.deadline_ms / 1e3),
        component_matrix=not options.no_component_matrix,
        max_wer_increase=options.max_wer_increase,
        pytorch=PyTorchModel(options.checkpoint, options.config) if options.checkpoint else None,
    )
    _require_writable(options.out)
    found = what_if(manifest.root, utterances, decoding, asked) if options.what_if else None
    with progress_bar(number_of_steps(artifacts, chosen), "report", "step") as advance:
        measured = Reporter(artifacts, utterances, chosen, lambda what: advance(1, what)).run()
    report = replace(measured, what_if=found)
    files = write_report(report, options.out, command)
    verdict = report.recommendation
    table = text_table(*variants_table(report))
    text = "\n".join([*map(str, files), "", *table, "", f"{verdict.variant}: {verdict.reason}"])
    return Outcome(to_document(report), text)


def _what_if_alone(
    manifest: Manifest,
    utterances: Sequence[Utterance],
    decoding: Decoding,
    asked: WhatIfOptions,
    out: Path,
    command: str,
) -> Outcome:
    """What-ifs without a look at the variants."""
    _require_writable(out)
    report = WhatIfReport(
        artifact=manifest.root.name,
        provenance={k: v for k, v in manifest.provenance.items() if k != PROVENANCE},
        decoding=DecodingUsed.of(decoding, manifest),
        machine=describe_machine(),
        what_if=what_if(manifest.root, utterances, decoding, asked),
    )
    document = to_document(report)
    files = _write(document, what_if_page(report, command), out)
    verdict = report.what_if.experts.verdict if report.what_if.experts else ""
    return Outcome(document, "\n".join([*map(str, files), *filter(None, [verdict])]))


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{folder}: cannot write there ({error.strerror}); pass another --out") from error


def write_report(report: Report, folder: Path, command: str) -> list[Path]:
    """Write `report.html`, `report.md` and `report.json` into `folder`, each whole or not at all."""
    return _write(to_document(report), report_page(report, command), folder)


def _write(document: Mapping[str, Any], page: Page, folder: Path) -> list[Path]:
    whole = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    texts = {"report.html": to_html(page), "report.md": to_markdown(page), "report.json": whole}
    return [write_whole(folder / name, text) for name, text in texts.items()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser()
    command = command_text(parser, arguments)
    return run_command(parser, lambda options: _work(options, command), arguments)
