"""OpenAI's client, a recording: python examples/clients/openai_file.py http://127.0.0.1:8000/v1 recording.flac."""

import os
import sys
from pathlib import Path

from openai import OpenAI


def main(base_url: str, path: str) -> None:
    """Print the text as it is decoded."""
    with OpenAI(api_key=os.environ.get("EMF_API_KEY", "none"), base_url=base_url) as client:
        for event in client.audio.transcriptions.create(model="any", file=Path(path), stream=True):
            if event.type == "transcript.text.delta":
                print(event.delta, end="", flush=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
