"""A bad call tells what is wrong and leaves the stream, and every other stream, as they were."""

from typing import Any

import numpy as np
import pytest

from emf.runtime import AudioError, Recognizer, Stream, UsageError
from tests.runtime.conftest import Load
from tests.signals import SAMPLE_RATE, speech_like

AUDIO = speech_like(2.0, seed=3)

BAD_CALLS: dict[str, tuple[Any, Any]] = {
    "nan": (SAMPLE_RATE, np.array([0.1, np.nan], np.float32)),
    "infinite": (SAMPLE_RATE, np.array([0.1, np.inf], np.float32)),
    "absurd": (SAMPLE_RATE, np.array([0.1, 1e30], np.float32)),
    "uint8": (SAMPLE_RATE, np.zeros(100, np.uint8)),
    "text": (SAMPLE_RATE, "RIFF"),
    "three-axes": (SAMPLE_RATE, np.zeros((2, 2, 2), np.float32)),
    "another-rate": (8_000, np.zeros(100, np.float32)),
    "no-rate": (0, np.zeros(100, np.float32)),
    "rate-of-nan": (float("nan"), np.zeros(100, np.float32)),
}
bad_calls = pytest.mark.parametrize("call", BAD_CALLS.values(), ids=list(BAD_CALLS))


def finish(recognizer: Recognizer, stream: Stream) -> tuple[int, ...]:
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
    return recognizer.get_result(stream).token_ids


@bad_calls
def test_in_the_middle_of_a_stream(load: Load, call: tuple[Any, Any]) -> None:
    recognizer = load(backend="onnxruntime")
    expected = recognizer.transcribe(AUDIO, SAMPLE_RATE).token_ids
    assert expected
    stream, other = recognizer.create_stream(), recognizer.create_stream()
    for half in np.split(AUDIO, [20_000]):
        stream.accept_waveform(SAMPLE_RATE, half)
        other.accept_waveform(SAMPLE_RATE, half)
        with pytest.raises(AudioError, match="expected") as caught:
            stream.accept_waveform(*call)
        assert "\n" not in str(caught.value)
        recognizer.decode_streams([stream, other])
    assert finish(recognizer, stream) == finish(recognizer, other) == expected


@pytest.mark.parametrize("name", [name for name in BAD_CALLS if name != "another-rate"])
def test_as_the_first_call(load: Load, name: str) -> None:
    """Not even the sample rate of a refused call is remembered."""
    recognizer, call = load(backend="onnxruntime"), BAD_CALLS[name]
    stream = recognizer.create_stream()
    with pytest.raises(AudioError, match="expected"):
        stream.accept_waveform(8_000 if call[0] == SAMPLE_RATE else call[0], call[1])
    stream.accept_waveform(SAMPLE_RATE, AUDIO)
    assert finish(recognizer, stream) == recognizer.transcribe(AUDIO, SAMPLE_RATE).token_ids


def test_after_the_input_was_finished(load: Load) -> None:
    recognizer = load(backend="onnxruntime")
    stream = recognizer.create_stream()
    stream.accept_waveform(SAMPLE_RATE, AUDIO)
    stream.input_finished()
    stream.input_finished()
    with pytest.raises(UsageError, match="after input_finished"):
        stream.accept_waveform(SAMPLE_RATE, AUDIO)
    assert finish(recognizer, stream) == recognizer.transcribe(AUDIO, SAMPLE_RATE).token_ids


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        ((AUDIO * 32768).round().clip(-32768, 32767).astype(np.int16), SAMPLE_RATE),
        (np.stack([AUDIO, AUDIO], axis=1), SAMPLE_RATE),
        (AUDIO.astype(np.float64), np.float64(SAMPLE_RATE)),
        (AUDIO.tolist(), SAMPLE_RATE),
    ],
    ids=["int16", "stereo", "float64", "list"],
)
def test_other_forms_of_the_same_audio_give_the_same_text(load: Load, samples: Any, rate: Any) -> None:
    recognizer = load(backend="onnxruntime")
    assert recognizer.transcribe(samples, rate).text == recognizer.transcribe(AUDIO, SAMPLE_RATE).text


@pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 16_001])
def test_odd_sample_rates(load: Load, rate: int) -> None:
    result = load(backend="onnxruntime").transcribe(speech_like(0.5, sample_rate=rate), rate)
    assert result.is_final


def test_silence_and_noise_are_no_error(load: Load) -> None:
    recognizer = load(backend="onnxruntime")
    for samples in (np.zeros(8000), np.ones(8000), np.sign(AUDIO), np.full(8000, 1e-38), 10 * AUDIO):
        assert recognizer.transcribe(samples, SAMPLE_RATE).is_final


def test_an_error_in_a_batch_leaves_its_streams_as_they_were(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder has run when the search fails; decoding again takes the step once, not twice."""
    recognizer = load(backend="onnxruntime")
    streams = [recognizer.create_stream() for _ in range(2)]
    for stream in streams:
        stream.accept_waveform(SAMPLE_RATE, AUDIO)

    def fail(*_: Any) -> None:
        raise MemoryError

    for _ in range(3):
        recognizer.decode_streams(streams)
        with monkeypatch.context() as patch, pytest.raises(MemoryError):
            patch.setattr(recognizer.transducer, "join", fail)
            recognizer.decode_streams(streams)
    expected = recognizer.transcribe(AUDIO, SAMPLE_RATE).token_ids
    assert finish(recognizer, streams[0]) == finish(recognizer, streams[1]) == expected
