"""No word of audio that has ended lies behind its end."""

import pytest

from emf.runtime import Stream
from tests.runtime.conftest import Load
from tests.signals import SAMPLE_RATE, speech_like

SECONDS_PER_FRAME = 0.04


@pytest.mark.parametrize(
    "options", [{}, {"frontend": "continuous", "tail_padding": 1.0}, {"decoding_method": "greedy"}]
)
@pytest.mark.parametrize("rate", [SAMPLE_RATE, 44_100])
def test_words_end_with_the_audio(load: Load, backend: str, options: dict[str, object], rate: int) -> None:
    recognizer = load(backend=backend, **options)
    reached = 0
    for milliseconds in range(300, 1500, 170):
        samples = speech_like(milliseconds / 1000, seed=3, sample_rate=rate)
        duration = len(samples) / rate
        result = recognizer.transcribe(samples, rate)
        assert all(0 <= word.start < word.end <= duration for word in result.words)
        reached += bool(result.timestamps) and result.timestamps[-1] + SECONDS_PER_FRAME > duration
    assert reached or rate != SAMPLE_RATE  # else nothing was shown


def test_a_live_stream_says_where_its_words_are(load: Load, backend: str) -> None:
    recognizer = load(backend=backend)
    stream = recognizer.create_stream()
    stream.accept_waveform(SAMPLE_RATE, speech_like(2.0, seed=3))
    assert stream.duration is None
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
    before = recognizer.get_result(stream)
    assert before.words[-1].end == pytest.approx(before.timestamps[-1] + SECONDS_PER_FRAME)
    finished: Stream = recognizer.restore_stream(stream.snapshot())
    finished.input_finished()
    assert finished.duration == pytest.approx(2.0)
    assert recognizer.restore_stream(finished.snapshot()).duration == pytest.approx(2.0)
