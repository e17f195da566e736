"""A recording spoken over Wyoming as Home Assistant does, with the client of the package `wyoming`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error

_WIDTH, _CHANNELS = 2, 1


class UtteranceFailed(RuntimeError):
    """An utterance ended without its whole text.

    Attributes:
        reason: one word, such as the server's own code.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def transcripts(host: str, port: int, sample_rate: int, data: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """Speak an utterance; yield its text so far after each chunk of it, and its transcript last.

    Args:
        host: of the server.
        port: of the server's Wyoming.
        sample_rate: of the audio, Hz.
        data: mono PCM of 16 bits, each piece when it is due.

    Raises:
        UtteranceFailed: the server told an error or closed, or the chunks do not join to the transcript.
        OSError: the server cannot be reached.
    """
    async with AsyncTcpClient(host, port) as client:
        sending = asyncio.create_task(_send(client, sample_rate, data))
        text = ""
        try:
            while (event := await client.read_event()) is not None:
                if TranscriptChunk.is_type(event.type):
                    text += TranscriptChunk.from_event(event).text
                    yield text
                elif Transcript.is_type(event.type):
                    whole = Transcript.from_event(event).text
                    if text != whole:
                        raise UtteranceFailed(
                            "other_chunks", f"the chunks join to {text!r}, the transcript is {whole!r}"
                        )
                    yield whole
                    return
                elif Error.is_type(event.type):
                    error = Error.from_event(event)
                    raise UtteranceFailed(error.code or "error", error.text)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    raise UtteranceFailed("closed", "the connection ended without a transcript")


async def _send(client: AsyncTcpClient, sample_rate: int, data: AsyncIterator[bytes]) -> None:
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(sample_rate, _WIDTH, _CHANNELS).event())
    async for piece in data:
        await client.write_event(AudioChunk(sample_rate, _WIDTH, _CHANNELS, piece).event())
    await client.write_event(AudioStop().event())
