"""A recording to text: python examples/transcribe_file.py artifacts/demo recording.flac."""

import sys

import soundfile

from emf.runtime import Recognizer


def main(artifact: str, path: str) -> None:
    """Print the text, then every word with its times and confidence."""
    recognizer = Recognizer.load(artifact)
    samples, sample_rate = soundfile.read(path, dtype="float32")
    result = recognizer.transcribe(samples, sample_rate)
    print(result.text)
    for word in result.words:
        print(f"{word.start:6.2f} {word.end:6.2f}  {word.confidence:.2f}  {word.word}")


if __name__ == "__main__":
    main(*sys.argv[1:])
