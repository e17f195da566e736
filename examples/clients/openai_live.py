"""OpenAI's client, live speech: python examples/clients/openai_live.py http://127.0.0.1:8000/v1 recording.flac."""

import asyncio
import base64
import os
import sys

import soundfile
import soxr
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeTranscriptionSessionCreateRequestParam

SAMPLE_RATE = 24_000
ONE_TURN: RealtimeTranscriptionSessionCreateRequestParam = {
    "type": "transcription",
    "audio": {"input": {"turn_detection": None}},
}


async def main(base_url: str, path: str) -> None:
    """Send 16-bit audio at 24 kHz, print the text as it grows."""
    samples, rate = soundfile.read(path, dtype="int16")
    audio = soxr.resample(samples, rate, SAMPLE_RATE).tobytes()
    async with (
        AsyncOpenAI(api_key=os.environ.get("EMF_API_KEY", "none"), base_url=base_url) as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        await connection.session.update(session=ONE_TURN)
        for begin in range(0, len(audio), 4800):
            await connection.input_audio_buffer.append(audio=base64.b64encode(audio[begin : begin + 4800]).decode())
        await connection.input_audio_buffer.commit()
        async for event in connection:
            if event.type == "conversation.item.input_audio_transcription.delta":
                print(event.delta, end="", flush=True)
            if event.type == "conversation.item.input_audio_transcription.completed":
                print()
                return


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
