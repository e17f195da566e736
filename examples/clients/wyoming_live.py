"""Home Assistant's protocol: python examples/clients/wyoming_live.py 127.0.0.1 10300 recording.flac."""

import asyncio
import sys

import soundfile
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient


async def main(host: str, port: str, path: str) -> None:
    """Send an utterance, print its transcript."""
    samples, rate = soundfile.read(path, dtype="int16")
    async with AsyncTcpClient(host, int(port)) as client:
        await client.write_event(Transcribe(language="en").event())
        await client.write_event(AudioStart(rate=rate, width=2, channels=1).event())
        for begin in range(0, len(samples), 1024):
            audio = samples[begin : begin + 1024].tobytes()
            await client.write_event(AudioChunk(rate=rate, width=2, channels=1, audio=audio).event())
        await client.write_event(AudioStop().event())
        while (event := await client.read_event()) is not None:
            if Transcript.is_type(event.type):
                print(Transcript.from_event(event).text)
                return


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
