"""Deepgram's client: python examples/clients/deepgram_live.py 127.0.0.1:8000 recording.flac."""

import os
import sys

import soundfile
from deepgram import DeepgramClient, DeepgramClientEnvironment


def main(server: str, path: str) -> None:
    """Send 16-bit audio, print the finals."""
    samples, rate = soundfile.read(path, dtype="int16")
    web, socket = f"http://{server}", f"ws://{server}"
    environment = DeepgramClientEnvironment(base=web, production=socket, agent=socket, agent_rest=web)
    client = DeepgramClient(api_key=os.environ.get("EMF_API_KEY", "none"), environment=environment)
    with client.listen.v1.connect(model="any", encoding="linear16", sample_rate=rate) as connection:
        connection.send_media(samples.tobytes())
        connection.send_close_stream()
        results = [message for message in connection if message.type == "Results"]
    finals = [result.channel.alternatives[0].transcript for result in results if result.is_final]
    print(" ".join(text for text in finals if text))


if __name__ == "__main__":
    main(*sys.argv[1:])
