"""Live text from raw 16-bit audio at 16 kHz.

arecord -f S16_LE -r 16000 -t raw | python examples/microphone.py artifacts/demo
"""

import sys

import numpy as np

from emf.runtime import EndpointRules, Recognizer

SAMPLE_RATE = 16_000
PIECE = SAMPLE_RATE // 10 * 2  # bytes of a tenth of a second


def main(artifact: str) -> None:
    """Show the text while it grows, one line a segment."""
    recognizer = Recognizer.load(artifact, endpoint=EndpointRules(), stable_delay=1.0)
    stream = recognizer.create_stream()
    while piece := sys.stdin.buffer.read(PIECE):
        stream.accept_waveform(SAMPLE_RATE, np.frombuffer(piece[: len(piece) // 2 * 2], np.int16))
        while recognizer.is_ready(stream):
            recognizer.decode_streams([stream])
        sys.stdout.write("\r" + recognizer.get_result(stream).text)
        if recognizer.is_endpoint(stream):
            sys.stdout.write("\r" + recognizer.reset(stream).text + "\n")
        sys.stdout.flush()
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
    print("\r" + recognizer.get_result(stream).text)


if __name__ == "__main__":
    main(*sys.argv[1:])
