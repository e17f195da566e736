"""The emf-verify command: the export's check, and more, on the user's own machine."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emf.export.parity.audio import demo_files, gather_audio
from emf.export.parity.invariance import Check, check_invariances, count_invariances
from emf.export.parity.verification import as_document
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.files import verify_file
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.commands.command_line import CommandParser, Outcome, bounded, command_parser, run_command
from emf.runtime.commands.progress import progress
from emf.runtime.errors import ToleranceError
from emf.runtime.pages.text import text_table
from emf.runtime.speech.recordings import read_recordings


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-verify",
        "Check an artifact here: checksums, parity with PyTorch, and that texts depend on nothing but audio.",
        "emf-verify artifacts/demo --checkpoint demo",
    )
    parser.add_argument("artifact", type=Path, help="Check this folder, which emf-export wrote.")
    parser.add_argument("--checkpoint", help="Compare with PyTorch, too: demo, librispeech or a state_dict.")
    parser.add_argument(
        "--config",
        type=Path,
        help="Read emformer_rnnt_model's keyword arguments from this JSON file. Default: the base model's.",
    )
    parser.add_argument(
        "--atol",
        type=bounded(float, 0, 1),
        default=1e-4,
        help="Allow this deviation of any tensor from PyTorch. Default: 1e-4.",
    )
    parser.add_argument(
        "--verify-seconds",
        type=bounded(float, 1, 86_400),
        default=60.0,
        help="Check with this much audio, seconds. Default: 60.",
    )
    parser.add_argument(
        "--audio", type=Path, nargs="+", help="Check with these sound files. Default: the demo's recordings."
    )
    return parser


def _work(options: argparse.Namespace) -> Outcome:
    manifest = read_manifest(options.artifact)
    for file in manifest.files():
        verify_file(manifest.path(file), file)
    checks = [Check("checksums", "all", True, f"{len(manifest.files())} files")]
    files = options.audio or demo_files()
    rate = manifest.frontend.sample_rate
    recordings = read_recordings(files, rate, options.verify_seconds)
    document: dict[str, Any] = {"artifact": str(options.artifact)}
    if options.checkpoint:
        samples = gather_audio(files, rate, options.verify_seconds)
        compared, document["verify"] = _compare_with_pytorch(options, manifest, samples)
        checks += compared
    checks += progress(check_invariances(manifest, recordings), count_invariances(manifest), "checking", "check")
    document["checks"] = [asdict(check) for check in checks]
    document["passed"] = all(check.passed for check in checks)
    return Outcome(document, _describe(checks), failed=not document["passed"])


def _compare_with_pytorch(
    options: argparse.Namespace, manifest: Manifest, samples: FloatArray
) -> tuple[list[Check], dict[str, object] | None]:
    from emf.export.model import load_checkpoint
    from emf.export.parity.reference import ReferenceStep
    from emf.export.parity.verify import verify

    def steps(items: Iterable[ReferenceStep], total: int) -> Iterable[ReferenceStep]:
        return progress(items, total, "comparing with PyTorch", "chunk")

    source = load_checkpoint(options.checkpoint, options.config, manifest)
    try:
        found = verify(source, manifest, samples, options.atol, steps, from_waveform=True)
    except ToleranceError as error:
        return [Check("parity with PyTorch", FLOAT, False, str(error))], None
    worst = max(d.worst() for d in found.deviations.values())
    tokens = _tokens(found.chunks, found.num_tokens, found.tokens_equal)
    checks = [
        Check("parity with PyTorch", FLOAT, True, f"{tokens}, greatest deviation {worst:.1e}, {len(found.ties)} ties")
    ]
    for waveform in found.waveforms:
        tokens = _tokens(found.chunks, found.num_tokens, waveform.tokens_equal)
        detail = f"{tokens}, scores within {waveform.score_error:.1e}, {len(waveform.ties)} ties"
        variant = Variant(waveform.backend, FLOAT)
        passed = waveform.mistake is None
        checks.append(Check("tokens from the waveform on", str(variant), passed, waveform.mistake or detail))
    return checks, as_document(found)


def _tokens(chunks: int, tokens: int, equal: bool) -> str:
    return f"{chunks} chunks, {tokens} tokens {'equal' if equal else 'of which a tie changed some'}"


def _describe(checks: Sequence[Check]) -> str:
    rows = [["ok" if one.passed else "FAILED", one.variant, one.name, one.detail] for one in checks]
    return "\n".join(text_table(("", "variant", "check", "found"), rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_parser(), _work, arguments)
