"""The emf-transcribe command: sound files to text."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import soundfile

from emf.runtime.audio import read_blocks
from emf.runtime.command_line import CommandParser, Outcome, bounded, command_parser, progress, run_command
from emf.runtime.error_rate import word_errors
from emf.runtime.errors import AudioError
from emf.runtime.recognizer import Recognizer
from emf.runtime.recognizer_flags import add_recognizer_flags, load_recognizer
from emf.runtime.result import Result
from emf.runtime.session import FloatArray
from emf.runtime.speech_manifest import Utterance, gather_utterances, read_speech_manifest
from emf.runtime.subtitles import to_srt, to_vtt


@dataclass(frozen=True)
class Transcription:
    """A file's result, its length and the time it took, both in seconds."""

    path: Path
    result: Result
    duration_s: float
    processing_s: float

    def as_document(self) -> dict[str, Any]:
        """The form of one entry of `results`."""
        words = [asdict(word) for word in self.result.words]
        segment = {
            "segment": self.result.segment,
            "start": self.result.start_time,
            "end": self.result.words[-1].end if self.result.words else self.result.start_time,
            "text": self.result.text,
        }
        return {
            "path": str(self.path),
            "text": self.result.text,
            "duration_s": self.duration_s,
            "processing_s": self.processing_s,
            "segments": [segment] if self.result.text else [],
            "words": words,
        }


def transcribe_blocks(
    recognizer: Recognizer,
    blocks: Iterable[tuple[int, FloatArray]],
    path: Path,
    on_partial: Callable[[Result], None] | None = None,
) -> Transcription:
    """Stream a file's blocks through the recognizer as they are read.

    Args:
        recognizer: what to use.
        blocks: sample rate and samples, as `read_blocks` gives them.
        path: the file's name in the result.
        on_partial: called after every step with the result so far.
    """
    stream = recognizer.create_stream()
    duration = processing = 0.0

    def decode() -> None:
        while recognizer.is_ready(stream):
            recognizer.decode_streams([stream])
            if on_partial:
                on_partial(recognizer.get_result(stream))

    for rate, samples in blocks:
        begin = time.perf_counter()
        stream.accept_waveform(rate, samples)
        decode()
        duration += len(samples) / rate
        processing += time.perf_counter() - begin
    begin = time.perf_counter()
    stream.input_finished()
    decode()
    result = recognizer.get_result(stream)
    return Transcription(path, result, duration, processing + time.perf_counter() - begin)


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-transcribe",
        "Transcribe sound files with an exported model.",
        "emf-transcribe artifacts/demo recording.wav --backend openvino",
    )
    add_recognizer_flags(parser)
    parser.add_argument("audio", nargs="+", type=Path, help="sound files, or a manifest.tsv that lists them")
    parser.add_argument("--format", choices=("text", "json", "srt", "vtt"), default="text", help="form of the output")
    parser.add_argument("--partial", action="store_true", help="show the text as it grows, on standard error")
    parser.add_argument("--channel", type=bounded(int, 0, 63), help="channel to take, from 0 (default: their mean)")
    parser.add_argument("--reference", type=Path, help="manifest.tsv with transcripts; gives the word error rate")
    return parser


def _work(options: argparse.Namespace) -> Outcome:
    options.json |= options.format == "json"
    utterances = gather_utterances(options.audio)
    references = _references(options.reference, utterances) if options.reference else None
    for utterance in utterances:
        _check_audio(utterance.path)
    recognizer = load_recognizer(options)
    show = _show_partial if options.partial else None
    done: list[Transcription] = []
    for utterance in progress(utterances, len(utterances), "transcribing", "file"):
        blocks = read_blocks(utterance.path, options.channel)
        done.append(transcribe_blocks(recognizer, blocks, utterance.path, show))
        if show:
            sys.stderr.write("\n")
    audio, spent = sum(t.duration_s for t in done), sum(t.processing_s for t in done)
    document: dict[str, Any] = {"results": [t.as_document() for t in done], "rtf": spent / audio if audio else 0.0}
    if references is not None:
        errors = word_errors(zip(references, (t.result.text for t in done), strict=True))
        document["wer"] = errors.rate
        for entry, reference in zip(document["results"], references, strict=True):
            entry["reference"] = reference
    return Outcome(document, _FORMATS[options.format](done, document))


def _check_audio(path: Path) -> None:
    """Fail before the model is loaded."""
    try:
        soundfile.info(str(path))
    except (soundfile.SoundFileError, RuntimeError) as error:
        problem = error if path.is_file() else "there is no such file"
        raise AudioError(f"{path}: expected a sound file that libsndfile reads, but {problem}") from error


def _references(manifest: Path, utterances: Sequence[Utterance]) -> list[str]:
    by_path = {u.path.resolve(): u.transcript or "" for u in read_speech_manifest(manifest)}
    missing = [str(u.path) for u in utterances if u.path.resolve() not in by_path]
    if missing:
        raise AudioError(
            f"{manifest}: expected a transcript of every file, {missing[0]} has none ({len(missing)} in all)"
        )
    return [by_path[u.path.resolve()] for u in utterances]


def _show_partial(result: Result) -> None:
    unstable = result.text[len(result.stable_text) :]
    sys.stderr.write(f"\r\033[K{result.stable_text}\033[2m{unstable}\033[0m" if sys.stderr.isatty() else "")


def _as_text(done: Sequence[Transcription], document: dict[str, Any]) -> str:
    if len(done) == 1 and "wer" not in document:
        return done[0].result.text
    lines = []
    for transcription, entry in zip(done, document["results"], strict=True):
        lines.append(f"{transcription.path}: {transcription.result.text}")
        if "reference" in entry:
            lines.append(f"{' ' * (len(str(transcription.path)) - 3)}ref: {entry['reference']}")
    lines.append(f"real-time factor {document['rtf']:.3f}")
    if "wer" in document:
        lines.append(f"word error rate {100 * document['wer']:.2f} %")
    return "\n".join(lines)


_FORMATS: dict[str, Callable[[Sequence[Transcription], dict[str, Any]], str]] = {
    "text": _as_text,
    "json": lambda *_: "",
    "srt": lambda done, _: "\n".join(to_srt(t.result.words) for t in done).rstrip("\n"),
    "vtt": lambda done, _: "\n".join(to_vtt(t.result.words) for t in done).rstrip("\n"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_parser(), _work, arguments)
