"""The emf-export command: a model becomes an artifact."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from emf.export.artifact import ATOL, ExportOptions, as_document, export_artifact
from emf.export.model import load_model
from emf.export.parity.audio import demo_files, gather_audio
from emf.export.parity.reference import ReferenceStep
from emf.export.parity.rollout import Tie
from emf.export.parity.verify import Verification
from emf.export.to_onnx import DEFAULT_OPSET, MIN_OPSET
from emf.runtime.audio.features import FRONTENDS
from emf.runtime.commands.command_line import (
    CommandParser,
    Outcome,
    bounded,
    command_parser,
    one_of,
    progress,
    run_command,
)
from emf.runtime.inference.session import BACKENDS


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
    parser.add_argument("--model", required=True, help="demo, librispeech, or the state_dict of a torchaudio RNNT")
    parser.add_argument("--out", required=True, type=Path, help="folder of the artifact")
    parser.add_argument("--config", type=Path, help="JSON: keyword arguments of emformer_rnnt_model (default: base)")
    parser.add_argument("--tokens", type=Path, help="SentencePiece model, or tokens.txt with a piece and an id a line")
    parser.add_argument("--global-stats", type=Path, help="torchaudio's JSON with mean and invstddev")
    parser.add_argument("--frontend", choices=FRONTENDS, help="the artifact's default frontend")
    parser.add_argument("--backends", type=one_of(BACKENDS), default=BACKENDS, help="engines, separated by commas")
    parser.add_argument("--opset", type=bounded(int, MIN_OPSET, 23), default=DEFAULT_OPSET, help="ONNX operator set")
    parser.add_argument(
        "--atol", type=bounded(float, 0, 1), help="greatest deviation from PyTorch (default: 1e-4, float16 1e-2)"
    )
    parser.add_argument(
        "--cache", choices=tuple(ATOL), default="float32", help="keys and values between two steps (default: float32)"
    )
    parser.add_argument(
        "--verify-seconds", type=bounded(float, 1, 86_400), default=60.0, help="audio to check with, seconds"
    )
    parser.add_argument("--verify-audio", type=Path, nargs="+", help="sound files to check with")
    parser.add_argument("--force", action="store_true", help="replace an existing artifact")
    return parser


def _steps(steps: Iterable[ReferenceStep], total: int) -> Iterable[ReferenceStep]:
    return progress(steps, total, "comparing with PyTorch", "chunk")


def _work(options: argparse.Namespace) -> Outcome:
    source = load_model(options.model, options.config, options.tokens, options.global_stats, options.frontend)
    files = options.verify_audio or demo_files()
    samples = gather_audio(files, source.frontend.sample_rate, options.verify_seconds)
    manifest, verification = export_artifact(
        source,
        options.out,
        ExportOptions(options.backends, samples, options.opset, options.atol, options.cache, options.force, _steps),
    )
    rows = [
        _GraphRow(
            name=graph.name,
            backend=graph.backend,
            precision=graph.precision,
            bytes=graph.bytes,
            max_abs_error=verification.deviations[graph.backend].worst(graph.name),
        )
        for graph in manifest.graphs
    ]
    document = {
        "artifact": str(options.out),
        "graphs": [asdict(row) for row in rows],
        "verify": as_document(verification),
    }
    return Outcome(document, _describe(options.out, rows, verification))


def _describe(artifact: Path, rows: Sequence[_GraphRow], check: Verification) -> str:
    lines = [
        f"{row.backend}/{row.precision}/{row.name}: {row.bytes / 2**20:.1f} MiB, "
        f"greatest deviation from PyTorch {row.max_abs_error:.1e}"
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            f"checked over {check.seconds:.1f} s of audio in {check.chunks} chained chunks: "
            f"{check.num_tokens} tokens, hypotheses equal to RNNTBeamSearch's after every chunk"
            f"{' but those below' if check.ties else ''}, scores within {check.score_error:.1e}",
            *map(_describe_tie, check.ties),
            f"artifact: {artifact}",
        ]
    )


def _describe_tie(tie: Tie) -> str:
    return (
        f"{tie.backend}, chunk {tie.chunk}: rounding decided between hypotheses, "
        f"{'none of them the best' if tie.best_equal else 'the best among them'}; "
        f"log-probabilities and scores within {tie.difference:.1e} of PyTorch's"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_parser(), _work, arguments)
