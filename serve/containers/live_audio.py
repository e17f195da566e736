"""The audio of a connection on its way to its session: raw samples, or a container that says itself what it holds."""

from collections.abc import Callable

from emf.runtime.errors import AudioError
from emf.serve.containers.sound_pipe import Block, SoundPipe
from emf.serve.containers.wav_header import WavHeader, is_wav, read_wav_header
from emf.serve.session.audio_format import AudioFormat, Encoding
from emf.serve.session.session import Session

_ENOUGH = 12
"""Bytes by which a container is known."""
_AHEAD_SECONDS = 2.0
"""Of a container's audio that waits to be transcribed; what is behind waits as it came."""


class LiveAudio:
    """Feeds a session, which begins as soon as its format is known."""

    def __init__(
        self,
        form: AudioFormat | None,
        separate: bool,
        begin: Callable[[AudioFormat], Session],
        failed: Callable[[AudioError], None],
    ) -> None:
        """Wait for audio.

        Args:
            form: of raw audio; the session begins at once. `None`: the audio comes in a container.
            separate: transcribe the channels of a container apart.
            begin: the session.
            failed: called when a container cannot be decoded.
        """
        self._form, self._separate, self._begin, self._failed = form, separate, begin, failed
        self._session = None if form is None else begin(form)
        self._start: bytes | None = b""
        self._left: int | None = None
        self._pipe: SoundPipe | None = None
        self._complete = self._pipe_ended = False

    async def feed(self, data: bytes) -> None:
        """Add bytes as they came.

        Raises:
            AudioError: they are no audio, or another than was announced.
        """
        if self._start is not None:
            data, self._start = self._start + data, b""
            if len(data) < _ENOUGH:
                self._start = data
                return
            await self._begin_with(data)
        elif self._pipe is not None:
            self._pipe.feed(data)
        else:
            self._feed_session(data)

    async def finish(self) -> None:
        """Declare the audio complete.

        Raises:
            AudioError: a container broke off before its audio.
        """
        if self._complete:
            return
        self._complete = True
        if self._start and self._form is None:
            raise AudioError("expected audio in a container, found a few bytes; send a whole file, or its encoding")
        if self._start:
            self._feed_session(self._start)
        if self._pipe is not None and not self._pipe_ended:
            self._pipe.finish()
        elif self._session is not None:
            self._session.finish()

    @property
    def is_empty(self) -> bool:
        """Whether nothing came that a session may follow from."""
        return self._session is None and self._pipe is None

    def close(self) -> None:
        """Give up what is being decoded."""
        if self._pipe is not None:
            self._pipe.close()

    async def _begin_with(self, data: bytes) -> None:
        header = read_wav_header(data) if is_wav(data) else None
        if is_wav(data) and header is None:
            self._start = data
            return
        self._start = None
        if header is not None and header.encoding is not None:
            self._begin_wav(header, header.encoding)
            self._feed_session(data[header.length :])
        elif self._form is not None and header is None:
            self._feed_session(data)
        elif self._form is None:
            self._pipe = SoundPipe(self._take_block, self._end_pipe)
            await self._pipe.open(data)
        else:
            raise AudioError("expected raw audio, as the encoding says, found a WAV file; leave the encoding out")

    def _begin_wav(self, header: WavHeader, encoding: Encoding) -> None:
        found = self._form_of(encoding, header.sample_rate, header.channels)
        self._left = header.audio_length
        if self._form is None:
            self._session = self._begin(found)
        elif (found.encoding, found.sample_rate, found.channels) != (
            self._form.encoding,
            self._form.sample_rate,
            self._form.channels,
        ):
            raise AudioError(
                f"expected {_described(self._form)}, as announced, found a WAV file of {_described(found)}; "
                "leave the announcement out"
            )

    def _form_of(self, encoding: Encoding, sample_rate: int, channels: int) -> AudioFormat:
        return AudioFormat(encoding, sample_rate, channels, self._separate and channels > 1)

    def _feed_session(self, data: bytes) -> None:
        if self._left is not None:  # chunks that are no audio follow
            data = data[: self._left]
            self._left -= len(data)
        if self._session is not None:
            self._session.feed(data)

    async def _take_block(self, block: Block) -> None:
        """Feed the session with what a container holds, no faster than it is decoded."""
        rate, samples = block
        if self._session is None:
            self._session = self._begin(self._form_of(Encoding.PCM_F32LE, rate, samples.shape[1]))
        self._session.feed(samples.astype("<f4").tobytes())
        await self._session.room(_AHEAD_SECONDS)

    def _end_pipe(self, error: AudioError | None) -> None:
        self._pipe_ended = True
        if error is None and self._session is None:
            error = AudioError("expected audio, found a sound file without any")
        if error is not None:
            self._failed(error)
        elif self._complete and self._session is not None:
            self._session.finish()


def _described(form: AudioFormat) -> str:
    return f"{form.encoding.value}, {form.sample_rate} Hz, channels: {form.channels}"
