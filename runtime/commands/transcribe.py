"""The emf-transcribe command: sound files to text."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.sound_files import check_sound_file, read_blocks, read_stream
from emf.runtime.commands.command_line import CommandParser, Status, bounded, command_parser, run_printing
from emf.runtime.commands.live_audio import STANDARD_INPUT, LiveAudio, is_live
from emf.runtime.commands.progress import progress
from emf.runtime.commands.recognizer_flags import add_artifact, add_recognizer_flags, read_decoding
from emf.runtime.commands.result_list import ResultList
from emf.runtime.commands.terminal import Output, printable, show, show_growing
from emf.runtime.commands.transcribe_corpus import add_corpus_flags, is_corpus, work_on_corpus
from emf.runtime.commands.transcript_forms import Form, JsonForm, SubtitleForm, TextForm
from emf.runtime.errors import AudioError, EmfError, UsageError
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.result import Result
from emf.runtime.speech.subtitles import to_srt, to_vtt
from emf.runtime.speech.transcription import transcribe_each
from emf.runtime.speech.utterances import Utterance, gather_utterances, read_speech_manifest

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
        help="Transcribe these: sound files, a manifest.tsv that lists them, or - for standard input: raw audio, until "
        "Ctrl-C, or a sound file. Those that cannot be read are reported, and the others transcribed.",
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
    add_corpus_flags(parser)
    return parser


def _work(options: argparse.Namespace, output: Output) -> Status:
    if is_corpus(options):
        return work_on_corpus(options, output, _references)
    utterances = gather_utterances(options.audio)
    references = _references(options.reference, utterances) if options.reference else None
    paths = [utterance.path for utterance in utterances]
    _check_standard_input(paths)
    results = ResultList(paths, references)
    for place, path in enumerate(paths):
        try:
            _check_usable(path)
        except (EmfError, OSError, UnicodeError) as error:
            results.fail(place, error)
    form = _form(options, output, alone=len(paths) == 1 and references is None)
    if not results.waiting:
        return results.end(form)
    endpoint = EndpointRules() if options.endpoints else None
    recognizer = read_decoding(options).open(options.artifact, endpoint=endpoint)
    batches = _batches(paths, results.waiting, 1 if options.partial else options.batch_size)
    live = LiveAudio()
    try:
        for batch in progress(batches, len(batches), "transcribing", "batch"):
            recordings = [(paths[place], _audio(paths[place], options, live)) for place in batch]
            partial_text = _partial_text(options.partial)
            found, seconds = transcribe_each(recognizer, recordings, partial_text, is_live(paths[batch[0]]))
            if options.partial and sys.stderr.isatty():
                show("\n")
            results.add(batch, found, seconds, form)
            if live.interrupted:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        results.end(form)
        raise
    return results.end(form)


def _batches(paths: Sequence[Path], places: Sequence[int], size: int) -> list[list[int]]:
    """Places of recordings to be decoded together; live audio, which Ctrl-C ends, is decoded alone."""
    batches: list[list[int]] = []
    room = 0
    for place in places:
        live = is_live(paths[place])
        if live or not room:
            batches.append([])
            room = size
        batches[-1].append(place)
        room = 0 if live else room - 1
    return batches


def _form(options: argparse.Namespace, output: Output, alone: bool) -> Form:
    if options.json or options.format == "json":
        return JsonForm(output)
    if options.format == "text":
        return TextForm(output, alone)
    return SubtitleForm(output, _SUBTITLES[options.format])


_SUBTITLES = {"srt": to_srt, "vtt": to_vtt}


def _audio(path: Path, options: argparse.Namespace, live: LiveAudio) -> Iterable[tuple[int, FloatArray]]:
    blocks = _blocks(path, options)
    return live.until_interrupted(blocks) if is_live(path) else blocks


def _blocks(path: Path, options: argparse.Namespace) -> Iterable[tuple[int, FloatArray]]:
    if path != STANDARD_INPUT:
        return read_blocks(path, options.channel)
    return read_stream(sys.stdin.buffer, options.raw_rate, options.channel)


def _check_standard_input(paths: Sequence[Path]) -> None:
    if sum(path in _NAMES_OF_STANDARD_INPUT for path in paths) > 1:
        raise UsageError("expected standard input once, found it several times; it gives its audio to one reader alone")


def _check_usable(path: Path) -> None:
    """Tell what cannot be used before the model is loaded."""
    if path != STANDARD_INPUT:
        check_sound_file(path)
    elif sys.stdin is None:
        raise AudioError("-: expected audio on standard input, but it is closed; redirect it from a file or a pipe")


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


def _partial_text(wanted: bool) -> Callable[[Result], None] | None:
    """Shows text as it grows: on a terminal in place, what may still change dimmed; else a line a change."""
    if not wanted:
        return None
    last = ""

    def show_result(result: Result) -> None:
        nonlocal last
        stable, unstable = printable(result.stable_text), printable(result.text[len(result.stable_text) :])
        if sys.stderr.isatty():
            show_growing(result.stable_text, result.text[len(result.stable_text) :])
        elif (line := f"{stable}|{unstable}") != last:
            show(f"{line}\n")
            last = line

    return show_result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_printing(make_parser(), _work, arguments)
