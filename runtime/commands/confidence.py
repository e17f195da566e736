"""The emf-confidence command: fit an artifact's word confidences on speech with transcripts."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, chain
from pathlib import Path

from emf.runtime.artifact.confidence import ConfidenceCurve
from emf.runtime.artifact.manifest_file import read_manifest, write_manifest
from emf.runtime.audio.sound_files import read_blocks
from emf.runtime.commands.command_line import CommandParser, Outcome, bounded, command_parser, run_command
from emf.runtime.commands.progress import progress
from emf.runtime.commands.recognizer_flags import add_artifact, add_recognizer_flags, read_decoding
from emf.runtime.errors import AudioError
from emf.runtime.pages.text import text_table
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.recognition.result import Word
from emf.runtime.recognition.transcript import Spelling, Transcript
from emf.runtime.search.emissions import Emissions
from emf.runtime.speech.confidence_fit import fit_confidence_curve
from emf.runtime.speech.error_rate import matches, normalize
from emf.runtime.speech.reliability import HeardWords, Reliability, cross_calibrated, measure_reliability
from emf.runtime.speech.transcription import transcribe_recordings
from emf.runtime.speech.utterances import Utterance, read_speech_manifest

_FOLDS = 10
_FEWEST_RECORDINGS = 2


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-confidence",
        "Calibrate the confidence of words on speech with transcripts, and write the curve into the artifact.",
        "emf-confidence artifacts/demo --dev dev/manifest.tsv",
    )
    add_artifact(parser)
    add_recognizer_flags(parser)
    parser.add_argument(
        "--dev",
        type=Path,
        required=True,
        help="Learn from this manifest.tsv of two recordings at least, with transcripts.",
    )
    parser.add_argument(
        "--bins", type=bounded(int, 1, 1000), default=10, help="Sort words into this many bins. Default: 10."
    )
    parser.add_argument(
        "--batch-size", type=bounded(int, 1, 1024), default=8, help="Decode this many files at once. Default: 8."
    )
    parser.add_argument("--dry-run", action="store_true", help="Measure only, and leave the artifact as it is.")
    return parser


@dataclass(frozen=True)
class _Fit:
    """A curve, and how far confidences can be trusted without and with it."""

    calibration: ConfidenceCurve
    num_words: int
    num_correct: int
    before: Reliability
    after: Reliability

    @property
    def is_better(self) -> bool:
        """Whether the curve makes the error smaller."""
        return self.after.expected_calibration_error < self.before.expected_calibration_error


def _work(options: argparse.Namespace) -> Outcome:
    utterances = read_speech_manifest(options.dev)
    if len(utterances) < _FEWEST_RECORDINGS:
        raise AudioError(
            f"{options.dev}: expected at least {_FEWEST_RECORDINGS} recordings, since each is judged by a curve fitted "
            f"on others, found {len(utterances)}; add recordings, or cut this one into sentences"
        )
    recognizer = read_decoding(options).open(options.artifact)
    fit = _fit(_hear(recognizer, utterances, options.batch_size), options.bins)
    written = fit.is_better and not options.dry_run
    if written:
        manifest = replace(read_manifest(options.artifact), confidence=fit.calibration)
        write_manifest(manifest, options.artifact)
    document = {
        "artifact": str(options.artifact),
        "words": fit.num_words,
        "correct": fit.num_correct,
        "calibration": asdict(fit.calibration),
        "before": asdict(fit.before),
        "after": asdict(fit.after),
        "written": written,
    }
    return Outcome(document, _describe(fit, written), failed=not fit.is_better)


def _fit(recordings: Sequence[HeardWords], num_bins: int) -> _Fit:
    confidences = [c for words in recordings for c in words.confidences]
    correct = [c for words in recordings for c in words.correct]
    return _Fit(
        before=measure_reliability(recordings, num_bins),
        after=measure_reliability(cross_calibrated(recordings, _FOLDS), num_bins),
        calibration=fit_confidence_curve(confidences, correct),
        num_words=len(correct),
        num_correct=sum(correct),
    )


def _describe(fit: _Fit, written: bool) -> str:
    verdict = "written into the manifest" if written else "not written"
    if not fit.is_better:
        verdict += ": the curve makes the error no smaller"
    return "\n".join(
        [
            *_table("before", fit.before),
            *_table("after, each word by a curve fitted on other recordings", fit.after),
            f"slope {fit.calibration.slope:.4f}, offset {fit.calibration.offset:.4f}: {verdict}",
        ]
    )


def _hear(recognizer: Recognizer, utterances: Sequence[Utterance], size: int) -> list[HeardWords]:
    """The words of each utterance with their raw confidences, and whether they are right."""
    batches = [utterances[start : start + size] for start in range(0, len(utterances), size)]
    heard: list[HeardWords] = []
    for batch in progress(batches, len(batches), "transcribing", "batch"):
        recordings = [(utterance.path, read_blocks(utterance.path)) for utterance in batch]
        transcriptions, _ = transcribe_recordings(recognizer, recordings)
        for utterance, transcription in zip(batch, transcriptions, strict=True):
            (result,) = transcription.segments
            spelling = Spelling(recognizer.tokens, recognizer.seconds_per_frame)
            frames = tuple(round(time / recognizer.seconds_per_frame) for time in result.timestamps)
            emitted = Emissions(result.token_ids, frames, result.log_probs)
            raw = Transcript().extended(spelling, emitted).words(spelling)
            heard.append(judge(raw, utterance.transcript or ""))
    return heard


def judge(words: Sequence[Word], reference: str) -> HeardWords:
    """Which of the words stand in the reference at their place; a word with nothing but punctuation is left out."""
    parts = [normalize(word.word).split() for word in words]
    right = matches(normalize(reference).split(), list(chain.from_iterable(parts)))
    ends = list(accumulate(map(len, parts)))
    judged = [
        (word.confidence, all(right[end - len(part) : end]))
        for word, part, end in zip(words, parts, ends, strict=True)
        if part
    ]
    return HeardWords(tuple(confidence for confidence, _ in judged), tuple(correct for _, correct in judged))


def _table(name: str, reliability: Reliability) -> list[str]:
    rows = [
        [f"{one.low:.2f} to {one.high:.2f}", str(one.count), f"{one.confidence:.3f}", f"{one.accuracy:.3f}"]
        for one in reliability.bins
    ]
    table = text_table(("confidence", "words", "mean", "right"), rows)
    return [f"{name}:", *table, f"expected calibration error {reliability.expected_calibration_error:.4f}", ""]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_parser(), _work, arguments)
