"""vosk-server's protocol: python examples/clients/vosk_live.py ws://127.0.0.1:2700 recording.flac."""

import asyncio
import json
import sys

import soundfile
import websockets


async def main(url: str, path: str) -> None:
    """Send a fifth of a second at a time; every message is answered."""
    audio = soundfile.SoundFile(path)
    async with websockets.connect(url) as connection:
        await connection.send(json.dumps({"config": {"sample_rate": audio.samplerate}}))
        texts = []
        while len(samples := audio.read(audio.samplerate // 5, dtype="int16")):
            await connection.send(samples.tobytes())
            texts.append(json.loads(await connection.recv()).get("text"))
        await connection.send('{"eof" : 1}')
        texts.append(json.loads(await connection.recv())["text"])
    print(" ".join(text for text in texts if text))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
