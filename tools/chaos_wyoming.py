"""Wyoming for `chaos.py`: each recording by the client of the package `wyoming`, at the pace of speech."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from client_speech import Form, speech_of
from wyoming_client import UtteranceFailed, transcripts

from emf.runtime.arrays import FloatArray
from emf.serve.load.call import ANSWER_SECONDS, MESSAGE_SECONDS, Call, Update
from emf.serve.load.client import CallFailed, CallRefused
from emf.serve.session.audio_format import Encoding

WYOMING = "wyoming"
FORM = Form(Encoding.PCM_S16LE, 16_000)
_HOST = "127.0.0.1"
_REFUSALS = ("overloaded", "restarting")


@dataclass(frozen=True, slots=True)
class WyomingServer:
    """A `Speaker` to a server's port of Wyoming.

    Attributes:
        port: see `--wyoming-port`.
    """

    port: int

    async def speak(self, recording: int, samples: FloatArray, watch: Callable[[Call], None] | None = None) -> Call:
        """See `Speaker`; samples come at `FORM`'s rate."""
        speech = speech_of(samples, FORM.sample_rate, FORM, is_live=True, message_seconds=MESSAGE_SECONDS)
        step = round(MESSAGE_SECONDS * FORM.sample_rate)
        made = Call(recording, -(-len(samples) // step), len(samples) / FORM.sample_rate)
        loop, sent = asyncio.get_running_loop(), 0

        async def data() -> AsyncIterator[bytes]:
            nonlocal sent
            made.begin = loop.time()
            async for piece in speech.messages():
                sent += 1
                made.late.append(max(loop.time() - made.begin - made.due(sent), 0.0))
                yield piece
            sent += 1

        try:
            async with (
                asyncio.timeout(made.seconds + ANSWER_SECONDS),
                aclosing(transcripts(_HOST, self.port, FORM.sample_rate, data())) as texts,
            ):
                async for text in texts:
                    if text != made.text:
                        made.text = text
                        made.updates.append(Update(loop.time() - made.begin, sent, text))
                        if watch is not None:
                            watch(made)
        except UtteranceFailed as failure:
            if failure.reason in _REFUSALS and not made.updates:
                raise CallRefused(failure.reason) from failure
            raise CallFailed(failure.reason, str(failure)) from failure
        except TimeoutError as error:
            raise CallFailed("timeout") from error
        except OSError as error:
            raise CallFailed("unreachable", str(error)) from error
        made.final = loop.time() - made.begin - made.seconds
        return made


def free_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server((_HOST, 0)) as listening:
        port: int = listening.getsockname()[1]
    return port
