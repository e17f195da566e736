"""A service of your own: raw 16-bit audio at 16 kHz comes in over TCP, lines of stable text go out.

python examples/asyncio_service.py artifacts/demo 9000, then: nc 127.0.0.1 9000 < recording.raw
"""

import asyncio
import sys

import numpy as np

from emf.runtime import Engine, Overloaded, Recognizer, StreamHandle

SAMPLE_RATE = 16_000


async def receive(reader: asyncio.StreamReader, handle: StreamHandle) -> None:
    """Feed what comes; a sample may be cut in two by the network."""
    rest = b""
    while piece := await reader.read(65_536):
        audio = rest + piece
        even = len(audio) // 2 * 2
        rest = audio[even:]
        handle.accept_waveform(SAMPLE_RATE, np.frombuffer(audio[:even], np.int16))
    handle.input_finished()


async def serve(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection."""
    try:
        with engine.open() as handle:  # gives the stream back whatever happens
            receiving = asyncio.create_task(receive(reader, handle))
            stable = ""
            async for result in handle:
                if result.stable_text != stable:
                    stable = result.stable_text
                    writer.write(f"{stable}\n".encode())
                    await writer.drain()
            await receiving
    except Overloaded:
        writer.write(b"no room, try again\n")
    writer.close()


async def main(artifact: str, port: str) -> None:
    """Listen until interrupted."""
    with Engine(Recognizer.load(artifact)) as engine:
        server = await asyncio.start_server(
            lambda reader, writer: serve(engine, reader, writer), "127.0.0.1", int(port)
        )
        print(f"listening on {server.sockets[0].getsockname()[1]}", file=sys.stderr, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
