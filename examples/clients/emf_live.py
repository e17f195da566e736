"""A client that resumes by itself: python examples/clients/emf_live.py ws://127.0.0.1:8000 recording.flac."""

import asyncio
import sys

import soundfile

from emf.serve import Transcriber


async def main(url: str, path: str) -> None:
    """Send a tenth of a second at a time, print the whole text."""
    samples, sample_rate = soundfile.read(path, dtype="float32")
    async with Transcriber(url, sample_rate=sample_rate, encoding="pcm_f32le") as transcriber:
        for begin in range(0, len(samples), sample_rate // 10):
            await transcriber.send(samples[begin : begin + sample_rate // 10])
        print(await transcriber.finish())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
