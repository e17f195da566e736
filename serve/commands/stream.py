"""The emf-stream command: a file or live audio to a server, and its live text to the terminal."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.sound_files import check_sound_file, read_blocks, read_stream
from emf.runtime.commands.command_line import CommandParser, Status, bounded, command_parser, run_printing
from emf.runtime.commands.terminal import Output, show_growing
from emf.runtime.errors import AudioError
from emf.runtime.speech.subtitles import to_srt, to_vtt
from emf.serve.client import Transcriber
from emf.serve.live_text import LiveText

KEY_ENVIRONMENT = "EMF_API_KEY"
_STANDARD_INPUT = Path("-")
_BLOCK_SECONDS = 0.1
_SUBTITLES = {"srt": to_srt, "vtt": to_vtt}


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-stream",
        "Send audio to emf-serve and show its text while it is spoken.",
        "emf-stream ws://127.0.0.1:8000 recording.wav",
    )
    parser.add_argument(
        "url", help="Connect to this server, or to one of several with one store: URLs separated by commas."
    )
    parser.add_argument("audio", type=Path, help="Send this sound file, or - for standard input.")
    parser.add_argument(
        "--rate",
        choices=("real", "fast"),
        default="real",
        help="Send a file as fast as it is spoken, or as fast as it is decoded. Default: real.",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "srt", "vtt"),
        default="text",
        help="Write the text in this form. Default: text.",
    )
    parser.add_argument("--api-key", help=f"Send this key. Default: that in {KEY_ENVIRONMENT}.")
    parser.add_argument(
        "--raw-rate",
        type=bounded(int, 1000, 768_000),
        default=16_000,
        help="Read raw audio from - at this rate, Hz (16-bit PCM, mono). Default: 16000.",
    )
    return parser


def _work(flags: argparse.Namespace, output: Output) -> Status:
    if flags.audio != _STANDARD_INPUT:
        check_sound_file(flags.audio)
    elif sys.stdin is None:
        raise AudioError("-: expected audio on standard input, but it is closed; redirect it from a file or a pipe")
    finals, text = asyncio.run(_transcribe(flags))
    words = [word for final in finals for word in final.words]
    if flags.json or flags.format == "json":
        segments = [asdict(final) for final in finals]
        output.document({"text": text, "segments": segments, "words": [asdict(word) for word in words]})
    elif flags.format in _SUBTITLES:
        output.text(_SUBTITLES[flags.format](words).rstrip("\n"))
    elif not (output.is_terminal and sys.stderr.isatty()):  # there it stands already
        output.text(text)
    return Status.DONE


async def _transcribe(flags: argparse.Namespace) -> tuple[list[LiveText], str]:
    blocks = _blocks(flags)
    first = await asyncio.to_thread(next, blocks, None)
    if first is None:
        return [], ""
    key = flags.api_key or os.environ.get(KEY_ENVIRONMENT)
    async with Transcriber(
        flags.url.split(","), sample_rate=first[0], encoding="pcm_f32le", api_key=key
    ) as transcriber:
        showing = asyncio.create_task(_show(transcriber))
        begin, sent = time.monotonic(), 0.0
        block: tuple[int, FloatArray] | None = first
        while block is not None:
            rate, samples = block
            for at in range(0, len(samples), step := max(int(rate * _BLOCK_SECONDS), 1)):
                piece = samples[at : at + step]
                sent += len(piece) / rate
                if flags.rate == "real" and (ahead := begin + sent - time.monotonic()) > 0:
                    await asyncio.sleep(ahead)
                await transcriber.send(piece)
            block = await asyncio.to_thread(next, blocks, None)
        text = await transcriber.finish()
        return await showing, text


def _blocks(flags: argparse.Namespace) -> Iterator[tuple[int, FloatArray]]:
    if flags.audio != _STANDARD_INPUT:
        return iter(read_blocks(flags.audio))
    return iter(read_stream(sys.stdin.buffer, flags.raw_rate))


async def _show(transcriber: Transcriber) -> list[LiveText]:
    """Show text as it grows, if somebody sees it; return the final ones."""
    finals = []
    live = sys.stderr.isatty()
    async for text in transcriber:
        if text.is_final:
            finals.append(text)
        if live:
            show_growing(text.stable, text.unstable, text.is_final)
    return finals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_printing(make_parser(), _work, arguments)
