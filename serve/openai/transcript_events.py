"""A transcript as server-sent events, while it grows.

Source: `openai.types.audio.TranscriptionStreamEvent`.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from msgspec import UNSET, Struct, UnsetType

from emf.serve.openai.errors import RequestError, error_body
from emf.serve.openai.server_messages import LogProb, Usage
from emf.serve.openai.transcript_forms import usage, wanted_logprobs
from emf.serve.openai.transcription import Transcript, follow
from emf.serve.openai.uploads import Upload
from emf.serve.session.session import Session

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Proxies pass events on as they come."""
_ALIVE_SECONDS = 10.0
_ALIVE = b": still decoding\n\n"
_DONE = b"data: [DONE]\n\n"


class TextDelta(Struct, frozen=True, tag="transcript.text.delta"):
    """The text grew."""

    delta: str


class TextDone(Struct, frozen=True, tag="transcript.text.done"):
    """The whole text."""

    text: str
    usage: Usage
    logprobs: list[LogProb] | UnsetType = UNSET


async def transcript_events(session: Session, upload: Upload) -> AsyncIterator[bytes]:
    """The events, up to the last. What fails midway is an event, too."""
    transcript = Transcript()
    growing = follow(session, transcript)
    step = asyncio.ensure_future(anext(growing, None))
    try:
        while True:
            await asyncio.wait([step], timeout=_ALIVE_SECONDS)
            if not step.done():
                yield _ALIVE
                continue
            if (delta := step.result()) is None:
                break
            yield _event(TextDelta(delta))
            step = asyncio.ensure_future(anext(growing, None))
        yield _event(TextDone(transcript.text, usage(transcript), wanted_logprobs(transcript, upload)))
        yield _DONE
    except RequestError as error:
        yield b"data: " + error_body(error) + b"\n\n"
    finally:
        step.cancel()


def _event(event: TextDelta | TextDone) -> bytes:
    return b"data: " + msgspec.json.encode(event) + b"\n\n"
