"""Compressed audio decoded while it comes: libsndfile or PyAV reads it from a pipe, in a thread."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import nullcontext, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.part_decoder import PartDecoder, open_part
from emf.runtime.audio.sound_parts import sound_parts
from emf.runtime.audio.sound_source import kept
from emf.runtime.errors import AudioError
from emf.serve.containers.media import Media, demuxer_of

_LOGGER = logging.getLogger(__name__)
_BLOCK_SECONDS = 0.1
_MOST_WAITING = 64 * 2**20
"""Bytes that wait to be decoded."""
_WHOLE_FIRST = (b"fLaC",)
"""Formats that libsndfile cannot read from a pipe: they are decoded once all of them is there."""
_AS_IT_COMES = ("matroska", "aac")
"""What PyAV reads from a pipe; an MP4 may say only at its end where its audio is."""

Block = tuple[int, FloatArray]
"""A sample rate in Hz, and samples of shape (frames, channels)."""


class _Coming:
    """A source that gives what has come; it can neither seek nor be waited for to give all that is asked for."""

    def __init__(self, source: BufferedReader) -> None:
        self._source = source

    def read(self, size: int, /) -> bytes:
        return self._source.read1(size)


class SoundPipe:
    """Decodes one sound file that comes in pieces. It belongs to one event loop."""

    def __init__(
        self, take: Callable[[Block], Coroutine[None, None, None]], ended: Callable[[AudioError | None], None]
    ) -> None:
        """Decode no faster than `take`.

        Args:
            take: run in the event loop with every block; may raise `AudioError`.
            ended: called in the event loop once, with what ended the decoding too early.
        """
        self._loop = asyncio.get_running_loop()
        self._take, self._ended = take, ended
        self._closed = False
        self._transport: asyncio.WriteTransport | None = None

    async def open(self, start: bytes) -> None:
        """Begin with the first bytes, at least four."""
        reading, writing = os.pipe()
        threading.Thread(target=self._run, args=(reading, start), name="sound pipe", daemon=True).start()
        end = os.fdopen(writing, "wb", buffering=0)
        self._transport, _ = await self._loop.connect_write_pipe(asyncio.BaseProtocol, end)
        self.feed(start)

    def feed(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            AudioError: too many wait to be decoded.
        """
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() + len(data) > _MOST_WAITING:
            raise AudioError(f"expected at most {_MOST_WAITING} bytes that wait to be decoded, found more; send slower")
        self._transport.write(data)

    def finish(self) -> None:
        """Declare the file complete; `ended` is called when all of it is decoded."""
        if self._transport is not None:
            self._transport.close()

    def close(self) -> None:
        """Give up: neither `take` nor `ended` is called any more."""
        self._closed = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    # In the thread

    def _run(self, descriptor: int, start: bytes) -> None:
        error: AudioError | None = None
        with os.fdopen(descriptor, "rb") as source:
            try:
                if (demuxer := demuxer_of(start)) is not None:
                    self._decode_media(source, demuxer)
                elif start.startswith(_WHOLE_FIRST):
                    self._decode_whole(source)
                else:
                    self._decode(PartDecoder(f"/dev/fd/{descriptor}"))
            except AudioError as problem:
                error = problem
            except Exception:
                _LOGGER.exception("a sound file could not be decoded")
                error = AudioError("expected a sound file that can be decoded, but decoding it failed")
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._ended_now, error)

    def _decode_whole(self, source: BinaryIO) -> None:
        with kept(source) as file:
            for part in sound_parts(file):
                self._decode(open_part(file, Path("audio"), part))

    def _decode_media(self, source: BufferedReader, demuxer: str) -> None:
        with nullcontext(_Coming(source)) if demuxer in _AS_IT_COMES else kept(source) as file:
            media = Media(file, demuxer)
            for block in media.blocks(_BLOCK_SECONDS):
                if not self._hand_over((media.sample_rate, block)):
                    return

    def _decode(self, decoder: PartDecoder) -> None:
        for block in decoder.blocks(_BLOCK_SECONDS):
            if not self._hand_over((decoder.sample_rate, block)):
                return
        if decoder.problem and not decoder.frames:
            raise AudioError(f"expected audio, but {decoder.problem}")

    def _hand_over(self, block: Block) -> bool:
        """Wait until a block is taken; return False where none is wanted any more."""
        if self._closed:
            return False
        taking = self._take(block)
        try:
            asyncio.run_coroutine_threadsafe(taking, self._loop).result()
        except (RuntimeError, CancelledError):  # the loop has ended
            taking.close()
            return False
        return not self._closed

    def _ended_now(self, error: AudioError | None) -> None:
        if not self._closed:
            self._closed = True
            self._ended(error)
