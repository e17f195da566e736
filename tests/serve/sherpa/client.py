"""A client of sherpa-onnx as its Python example: it sends float32 audio and reads at the same time."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from tests.serve.live_server import SECONDS, LiveServer
from tests.serve.recordings import Samples

Result = dict[str, Any]


def to_bytes(samples: Samples) -> bytes:
    """Samples as the client reads them from a file."""
    return (samples.astype("<f4") / 32768).tobytes()


async def receive(socket: ClientConnection) -> list[Result]:
    """All results up to `Done!`, or to the end of the connection; the example takes the last one for the final one."""
    results: list[Result] = []
    async with asyncio.timeout(SECONDS):
        with suppress(ConnectionClosedError):
            async for message in socket:
                if message == "Done!":
                    break
                results.append(json.loads(message))
    return results


async def transcribe(server: LiveServer, messages: Sequence[bytes | str], url: str | None = None) -> list[Result]:
    """The results to some messages and the end."""
    async with connect(url or server.url("/sherpa")) as socket:
        receiving = asyncio.create_task(receive(socket))
        for message in messages:
            await socket.send(message)
        await socket.send("Done")
        return await receiving
