"""The emf-verify command: the export's check, and more, on the user's own machine."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from emf.export.parity.audio import demo_files, gather_audio
from emf.export.parity.invariance import Check, check_invariances, count_invariances
from emf.runtime.artifact.files import verify_file
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.commands.command_line import CommandParser, Outcome, bounded, command_parser, progress, run_command
from emf.runtime.errors import ToleranceError
from emf.runtime.speech.recordings import read_recordings


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-verify",
        "Check an artifact here: checksums, parity with PyTorch, and that texts depend on nothing but audio.",
        "emf-verify artifacts/demo --checkpoint demo",
    )
    parser.add_argument("artifact", type=Path, help="folder that emf-export wrote")
    parser.add_argument("--checkpoint", help="demo, librispeech or a state_dict: compare with PyTorch, too")
    parser.add_argument("--config", type=Path, help="JSON: keyword arguments of emformer_rnnt_model (default: base)")
    parser.add_argument("--atol", type=bounded(float, 0, 1), default=1e-4, help="greatest deviation from PyTorch")
    parser.add_argument(
        "--verify-seconds", type=bounded(float, 1, 86_400), default=60.0, help="audio to check with (default: 60 s)"
    )
    parser.add_argument("--audio", type=Path, nargs="+", help="sound files (default: the demo's recordings)")
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
        check, document["verify"] = _compare_with_pytorch(options, manifest, np.asarray(samples, np.float32))
        checks.append(check)
    checks += progress(check_invariances(manifest, recordings), count_invariances(manifest), "checking", "check")
    document["checks"] = [asdict(check) for check in checks]
    document["passed"] = all(check.passed for check in checks)
    return Outcome(document, _describe(checks), failed=not document["passed"])


def _compare_with_pytorch(
    options: argparse.Namespace, manifest: Manifest, samples: Any
) -> tuple[Check, dict[str, object] | None]:
    from emf.export.artifact import as_document
    from emf.export.model import load_checkpoint
    from emf.export.parity.reference import ReferenceStep
    from emf.export.parity.verify import verify

    def steps(items: Iterable[ReferenceStep], total: int) -> Iterable[ReferenceStep]:
        return progress(items, total, "comparing with PyTorch", "chunk")

    source = load_checkpoint(options.checkpoint, options.config, manifest)
    try:
        verification = verify(source, manifest, samples, options.atol, steps)
    except ToleranceError as error:
        return Check("parity with PyTorch", "fp32", False, str(error)), None
    detail = (
        f"{verification.chunks} chunks, {verification.num_tokens} tokens equal, greatest deviation "
        f"{max(d.worst() for d in verification.deviations.values()):.1e}, {len(verification.ties)} ties"
    )
    return Check("parity with PyTorch", "fp32", True, detail), as_document(verification)


def _describe(checks: Sequence[Check]) -> str:
    return "\n".join(
        f"{'ok    ' if check.passed else 'FAILED'}  {check.variant}: {check.name} ({check.detail})" for check in checks
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_parser(), _work, arguments)
