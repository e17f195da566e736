"""sherpa-onnx's protocol: python examples/clients/sherpa_onnx_live.py ws://127.0.0.1:6006 recording.flac."""

import asyncio
import json
import sys

import soundfile
import websockets


async def receive(connection: websockets.ClientConnection) -> str:
    """The text of all segments, up to the server's end marker."""
    texts: dict[int, str] = {}
    async for message in connection:
        if message == "Done!":
            break
        result = json.loads(message)
        texts[result["segment"]] = result["text"]
    return " ".join(texts.values())


async def main(url: str, path: str) -> None:
    """Send float samples at 16 kHz, then the end marker."""
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != 16_000:
        raise SystemExit(f"expected audio at 16000 Hz, found {rate}; this protocol has no other rate")
    async with websockets.connect(url) as connection:
        receiving = asyncio.create_task(receive(connection))
        for begin in range(0, len(samples), 8000):
            await connection.send(samples[begin : begin + 8000].tobytes())
        await connection.send("Done")
        print(await receiving)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
