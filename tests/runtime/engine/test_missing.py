"""How much audio completes a stream's next segment."""

import numpy as np
import pytest

from emf.runtime import Engine, Recognizer
from tests.runtime.conftest import Load
from tests.signals import SAMPLE_RATE, speech_like


@pytest.fixture(scope="module")
def recognizer(load: Load) -> Recognizer:
    return load(backend="onnxruntime", decoding_method="greedy")


def steps_and_missing(recognizer: Recognizer, rate: int) -> list[tuple[int, float]]:
    """Complete segments, and what is missing, after every piece of ten milliseconds."""
    samples = np.resize(speech_like(2.0), 2 * rate).astype(np.float32)
    found = []
    with Engine(recognizer, max_streams=1, idle_timeout_ms=1e9) as engine:
        handle = engine.open()
        stream = recognizer.create_stream()
        step = rate // 100
        for at in range(0, len(samples), step):
            handle.accept_waveform(rate, samples[at : at + step], timeout=10.0)
            stream.accept_waveform(rate, samples[at : at + step])
            steps = 0
            while stream.settings.extractor.is_ready(stream.state.audio, steps):
                steps += 1
            found.append((steps, handle.missing))
        handle.close()
    return found


def test_exactly_so_much_is_missing(recognizer: Recognizer) -> None:
    found = steps_and_missing(recognizer, SAMPLE_RATE)
    assert found[-1][0] > 3
    for number, (steps, missing) in enumerate(found):
        here = next((later for later in range(number, len(found)) if found[later][0] > steps), None)
        if here is not None:
            pieces = here - number
            assert 0.01 * (pieces - 1) < missing <= 0.01 * pieces + 1e-9


@pytest.mark.parametrize("rate", (8_000, 44_100, 48_000))
def test_no_more_than_that_is_missing_where_audio_is_resampled(recognizer: Recognizer, rate: int) -> None:
    found = steps_and_missing(recognizer, rate)
    assert found[-1][0] > 3
    for number, (steps, missing) in enumerate(found):
        here = next((later for later in range(number, len(found)) if found[later][0] > steps), None)
        if here is not None:
            assert missing <= 0.01 * (here - number) + 1e-9
            assert missing >= 0.01 * (here - number) - 0.15  # what the resampler holds back
