"""The emf-export command: a model becomes an artifact."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from emf.export.artifact import DEFAULT_SEGMENTS, ExportOptions, check_cache, export_artifact
from emf.export.commands.conversion_flags import (
    add_conversion_flags,
    conversion_of,
    convert_as_told,
    describe_conversion,
)
from emf.export.graphs.cache_format import CACHE_DTYPES
from emf.export.lengths import Lengths
from emf.export.model import load_model
from emf.export.model_config import MAX_LENGTH
from emf.export.parity.audio import demo_files, demo_manifest, gather_audio, transcribed
from emf.export.parity.reference import ReferenceStep
from emf.export.parity.verification import Drift, Tie, Verification, as_document
from emf.export.parity.word_drift import WordDrift
from emf.export.replacing import check_replaceable
from emf.export.to_onnx import DEFAULT_OPSET, MIN_OPSET
from emf.runtime.artifact.manifest import GraphSpec
from emf.runtime.artifact.manifest_file import MAX_SEGMENTS
from emf.runtime.audio.features import FRONTENDS
from emf.runtime.commands.command_line import (
    CommandParser,
    Outcome,
    bounded,
    command_parser,
    one_of,
    run_command,
)
from emf.runtime.commands.progress import progress
from emf.runtime.inference.encoder_state import bytes_a_stream
from emf.runtime.inference.session import BACKENDS
from emf.runtime.pages.text import text_table
from emf.runtime.speech.utterances import Utterance


@dataclass(frozen=True, slots=True)
class _GraphRow:
    """One graph of the artifact and its greatest deviation from PyTorch."""

    name: str
    backend: str
    precision: str
    bytes: int
    max_abs_error: float


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-export",
        "Export a torchaudio Emformer-RNNT for ONNX Runtime and OpenVINO and prove it equal to PyTorch.",
        "emf-export --model demo --out artifacts/demo",
    )
    parser.add_argument(
        "--model",
        required=True,
        help="Export this model: demo, librispeech, or the state_dict or Lightning checkpoint of a torchaudio RNNT.",
    )
    parser.add_argument(
        "--out", required=True, type=Path, help="Write the artifact to this folder, or to the folder that it links to."
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--config",
        type=Path,
        help="Read emformer_rnnt_model's keyword arguments from this JSON file. Default: the base model's.",
    )
    model.add_argument(
        "--tokens",
        type=Path,
        help="Take the vocabulary of this SentencePiece model, or tokens.txt with a piece and an id a line.",
    )
    model.add_argument(
        "--global-stats", type=Path, help="Normalise features by this JSON of torchaudio's, with mean and invstddev."
    )
    model.add_argument(
        "--frontend", choices=FRONTENDS, help="Make this the artifact's default frontend. Default: the model's own."
    )
    for flag, unit in (
        ("--segment-length", "feature frames in a segment"),
        ("--right-context", "feature frames ahead of a segment"),
        ("--left-context", "encoder frames behind a segment"),
    ):
        model.add_argument(
            flag, type=bounded(int, 0, MAX_LENGTH), help=f"Take so many {unit}. Default: as the model was trained."
        )
    graphs = parser.add_argument_group("graphs")
    graphs.add_argument(
        "--backends",
        type=one_of(BACKENDS),
        default=BACKENDS,
        help="Write graphs for these backends, separated by commas. Default: both.",
    )
    graphs.add_argument(
        "--opset",
        type=bounded(int, MIN_OPSET, 23),
        default=DEFAULT_OPSET,
        help=f"Use this version of ONNX's operators. Default: {DEFAULT_OPSET}.",
    )
    graphs.add_argument(
        "--segments",
        type=bounded(int, 1, MAX_SEGMENTS),
        default=DEFAULT_SEGMENTS,
        help="Let the encoder also take this many segments of a stream in one pass, which is faster where the audio is "
        f"there already; 1 leaves it out. Default: {DEFAULT_SEGMENTS}.",
    )
    add_conversion_flags(parser)
    check = parser.add_argument_group("check against PyTorch")
    check.add_argument(
        "--atol",
        type=bounded(float, 0, 1),
        help="Allow this deviation of any tensor from PyTorch, which rounds as --cache int8 does. Default: 1e-4; with "
        "--cache float16 1e-2.",
    )
    graphs.add_argument(
        "--cache",
        choices=tuple(CACHE_DTYPES),
        default="float32",
        help="Keep keys and values between two steps like this; int8 is a quarter of the memory, with scales of each "
        "frame's own, so that nothing can be clipped. Default: float32.",
    )
    check.add_argument(
        "--verify-seconds",
        type=bounded(float, 1, 86_400),
        default=60.0,
        help="Check with at least this much audio, seconds. Default: 60.",
    )
    check.add_argument(
        "--verify-audio", type=Path, nargs="+", help="Check with these sound files. Default: the demo's recordings."
    )
    parser.add_argument("--force", action="store_true", help="Replace an existing artifact.")
    return parser


def _steps(steps: Iterable[ReferenceStep], total: int) -> Iterable[ReferenceStep]:
    return progress(steps, total, "comparing with PyTorch", "chunk")


def _work(options: argparse.Namespace) -> Outcome:
    check_replaceable(options.out, options.force)
    conversion = conversion_of(options)
    lengths = Lengths(options.segment_length, options.right_context, options.left_context)
    source = load_model(options.model, options.config, options.tokens, options.global_stats, options.frontend, lengths)
    check_cache(source.geometry, options.cache)
    if conversion is not None:
        source = convert_as_told(source, conversion, options)
    files = options.verify_audio or demo_files()
    samples = gather_audio(files, source.frontend.sample_rate, options.verify_seconds)
    manifest, verification = export_artifact(
        source,
        options.out,
        ExportOptions(
            options.backends,
            samples,
            options.opset,
            options.atol,
            options.cache,
            options.segments,
            options.force,
            _steps,
            _transcribed(options, source.frontend.sample_rate),
        ),
    )
    rows = [_row(graph, verification) for graph in manifest.graphs]
    state_bytes = bytes_a_stream(next(graph for graph in manifest.graphs if graph.name == "encoder"))
    document = {
        "artifact": str(options.out),
        "graphs": [asdict(row) for row in rows],
        "verify": as_document(verification),
        "state_bytes": state_bytes,
    }
    converted = [] if source.conversion is None else describe_conversion(source.conversion)
    if source.conversion is not None:
        document["conversion"] = source.conversion
    return Outcome(document, "\n".join([*converted, _describe(options.out, rows, verification, state_bytes)]))


def _transcribed(options: argparse.Namespace, sample_rate: int) -> tuple[Utterance, ...]:
    """Of the check's audio what has a transcript; read only where words may differ."""
    if CACHE_DTYPES[options.cache].is_floating_point:
        return ()
    return transcribed(options.verify_audio or [demo_manifest()], sample_rate, options.verify_seconds)


def _row(graph: GraphSpec, verification: Verification) -> _GraphRow:
    worst = verification.deviations[graph.backend].worst(graph.name)
    return _GraphRow(graph.name, graph.backend, graph.precision, graph.bytes, worst)


def _describe(artifact: Path, rows: Sequence[_GraphRow], check: Verification, state_bytes: int) -> str:
    cells = [
        [f"{row.backend}/{row.precision}/{row.name}", f"{row.bytes / 2**20:.2f}", f"{row.max_abs_error:.1e}"]
        for row in rows
    ]
    return "\n".join(
        [
            *text_table(("graph", "MiB", "greatest deviation from PyTorch"), cells),
            "",
            f"checked over {check.seconds:.1f} s of audio in {check.chunks} chained chunks: "
            f"{check.num_tokens} tokens, hypotheses equal to RNNTBeamSearch's after every chunk"
            f"{' but those below' if check.ties else ''}, scores within {check.score_error:.1e}",
            *map(_describe_tie, check.ties),
            *([_describe_drift(check.drift)] if check.drift else []),
            *(_describe_words(*found) for found in (check.words or {}).items()),
            f"a stream keeps {state_bytes / 2**20:.2f} MiB between steps, which is most of its snapshot",
            f"artifact: {artifact}",
        ]
    )


def _describe_drift(drift: Drift) -> str:
    return (
        f"keys and values in {drift.cache}: signal to noise of the encodings {drift.signal_to_noise_db} dB, "
        f"{drift.tokens_changed} of {drift.tokens} tokens other than in float32; of {drift.kept} values kept, "
        f"{drift.other_side} at a border were rounded to the other side than PyTorch's, which went on from them"
    )


def _describe_words(search: str, words: WordDrift) -> str:
    rates = "" if words.wer is None else f"; WER {words.wer:.2%} -> {words.wer_converted:.2%}"
    return f"  {search}, each recording alone: {words.words_changed} of {words.words} words changed{rates}"


def _describe_tie(tie: Tie) -> str:
    return (
        f"{tie.backend}, chunk {tie.chunk}: rounding decided between hypotheses, "
        f"{'none of them the best' if tie.best_equal else 'the best among them'}; "
        f"log-probabilities and scores within {tie.difference:.1e} of PyTorch's"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_parser(), _work, arguments)
