"""The emf-transcribe command: sound files to text."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.sound_files import check_sound_file, read_blocks, read_stream
from emf.runtime.commands.command_line import CommandParser, Outcome, bounded, command_parser, progress, run_command
from emf.runtime.commands.recognizer_flags import add_artifact, add_recognizer_flags, read_decoding
from emf.runtime.errors import AudioError, UsageError
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.result import Result
from emf.runtime.speech.error_rate import word_errors
from emf.runtime.speech.subtitles import join_documents, to_srt, to_vtt
from emf.runtime.speech.transcription import Transcription, transcribe_recordings
from emf.runtime.speech.utterances import Utterance, gather_utterances, read_speech_manifest

STANDARD_INPUT = Path("-")
_NAMES_OF_STANDARD_INPUT = {STANDARD_INPUT, Path("/dev/stdin"), Path("/dev/fd/0")}


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-transcribe",
        "Transcribe sound files with an exported model.",
        "emf-transcribe artifacts/demo recording.wav --backend openvino",
    )
    add_artifact(parser)
    add_recognizer_flags(parser)
    parser.add_argument(
        "audio",
        nargs="+",
        type=Path,
        help="Transcribe these: sound files, a manifest.tsv that lists them, or - for standard input: raw audio or a "
        "sound file.",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--format",
        choices=("text", "json", "srt", "vtt"),
        default="text",
        help="Write the text in this form. Default: text.",
    )
    output.add_argument("--partial", action="store_true", help="Show the text as it grows, on standard error.")
    sound = parser.add_argument_group("input")
    sound.add_argument(
        "--channel", type=bounded(int, 0, 63), help="Take this channel, from 0. Default: the mean of all."
    )
    sound.add_argument(
        "--raw-rate",
        type=bounded(int, 1000, 768_000),
        default=16_000,
        help="Read raw audio from - at this rate, Hz (16-bit PCM, mono). Default: 16000.",
    )
    sound.add_argument(
        "--batch-size", type=bounded(int, 1, 1024), default=8, help="Decode this many files at once. Default: 8."
    )
    output.add_argument("--endpoints", action="store_true", help="Cut the text into segments at silences.")
    output.add_argument(
        "--reference", type=Path, help="Give the word error rate against the transcripts of this manifest.tsv."
    )
    return parser


def _work(options: argparse.Namespace) -> Outcome:
    utterances = gather_utterances(options.audio)
    references = _references(options.reference, utterances) if options.reference else None
    _check_audio(utterances)
    endpoint = EndpointRules() if options.endpoints else None
    recognizer = read_decoding(options).open(options.artifact, endpoint=endpoint)
    size = 1 if options.partial else options.batch_size
    batches = [utterances[start : start + size] for start in range(0, len(utterances), size)]
    done: list[Transcription] = []
    spent = 0.0
    for batch in progress(batches, len(batches), "transcribing", "batch"):
        recordings = [(utterance.path, _blocks(utterance.path, options)) for utterance in batch]
        transcriptions, seconds = transcribe_recordings(
            recognizer, recordings, _partial_display() if options.partial else None
        )
        done += transcriptions
        spent += seconds
        if options.partial and sys.stderr.isatty():
            sys.stderr.write("\n")
    audio = sum(t.duration_s for t in done)
    document: dict[str, Any] = {"results": [t.as_document() for t in done], "rtf": spent / audio if audio else 0.0}
    if references is not None:
        document["wer"] = word_errors(zip(references, (t.text for t in done), strict=True)).rate
        for entry, reference in zip(document["results"], references, strict=True):
            entry["reference"] = reference
    return Outcome(document, _FORMATS[options.format](done, document))


def _blocks(path: Path, options: argparse.Namespace) -> Iterable[tuple[int, FloatArray]]:
    if path != STANDARD_INPUT:
        return read_blocks(path, options.channel)
    return read_stream(sys.stdin.buffer, options.raw_rate, options.channel)


def _check_audio(utterances: Sequence[Utterance]) -> None:
    """Fail before the model is loaded."""
    if sum(utterance.path in _NAMES_OF_STANDARD_INPUT for utterance in utterances) > 1:
        raise UsageError("expected standard input once, found it several times; it gives its audio to one reader alone")
    for utterance in utterances:
        if utterance.path != STANDARD_INPUT:
            check_sound_file(utterance.path)


def _references(manifest: Path, utterances: Sequence[Utterance]) -> list[str]:
    """The transcript of each utterance: the rows of a recording in their order, the last one for all that follow."""
    rows: dict[Path, list[str]] = {}
    for row in read_speech_manifest(manifest):
        rows.setdefault(row.path.resolve(), []).append(row.transcript or "")
    missing = [str(u.path) for u in utterances if u.path.resolve() not in rows]
    if missing:
        raise AudioError(
            f"{manifest}: expected a transcript of every file, {missing[0]} has none ({len(missing)} in all)"
        )
    transcripts = [rows[u.path.resolve()] for u in utterances]
    return [found.pop(0) if len(found) > 1 else found[0] for found in transcripts]


def _partial_display() -> Callable[[Result], None]:
    """Shows text as it grows: on a terminal in place, what may still change dimmed; else a line a change."""
    last = ""

    def show(result: Result) -> None:
        nonlocal last
        stable, unstable = result.stable_text, result.text[len(result.stable_text) :]
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{stable}\033[2m{unstable}\033[0m")
        elif (line := f"{stable}|{unstable}") != last:
            sys.stderr.write(f"{line}\n")
            last = line

    return show


def _as_text(done: Sequence[Transcription], document: dict[str, Any]) -> str:
    if len(done) == 1 and "wer" not in document:
        return done[0].text
    lines = []
    for transcription, entry in zip(done, document["results"], strict=True):
        lines.append(f"{transcription.path}: {transcription.text}")
        if "reference" in entry:
            lines.append(f"{' ' * (len(str(transcription.path)) - 3)}ref: {entry['reference']}")
    lines.append(f"real-time factor {document['rtf']:.3f}")
    if "wer" in document:
        lines.append(f"word error rate {100 * document['wer']:.2f} %")
    return "\n".join(lines)


_FORMATS: dict[str, Callable[[Sequence[Transcription], dict[str, Any]], str]] = {
    "text": _as_text,
    "json": lambda _, document: json.dumps(document, ensure_ascii=False, allow_nan=False),
    "srt": lambda done, _: join_documents([(str(t.path), to_srt(t.words, t.duration_s)) for t in done]).rstrip("\n"),
    "vtt": lambda done, _: join_documents([(str(t.path), to_vtt(t.words, t.duration_s)) for t in done]).rstrip("\n"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_parser(), _work, arguments)
