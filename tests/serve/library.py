"""What the library says, by its own loop."""

from collections.abc import Mapping

from emf.runtime import Recognizer
from tests.serve.recordings import Samples


def segments(
    recognizer: Recognizer, samples: Samples, sample_rate: int, phrases: Mapping[str, float] | None = None
) -> list[str]:
    """The texts of the segments that say something, ended by the recognizer's own rules."""
    stream = recognizer.create_stream(phrases=phrases)
    stream.accept_waveform(sample_rate, samples)
    stream.input_finished()
    texts: list[str] = []
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        if recognizer.is_endpoint(stream):
            texts.append(recognizer.get_result(stream).text)
            recognizer.reset(stream)
    return [text for text in [*texts, recognizer.get_result(stream).text] if text]
