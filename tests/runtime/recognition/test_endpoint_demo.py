"""Endpoints of real words: the demo's recordings, a minute of silence or faint noise between them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from emf.runtime import EndpointRules, Engine, Recognizer, Result
from emf.runtime.arrays import FloatArray
from emf.runtime.inference.session import BACKENDS
from emf.runtime.speech.transcription import transcribe_recordings

pytestmark = pytest.mark.slow

RECORDINGS = Path(__file__).parents[3] / "export" / "demo" / "recordings"
RATE, SILENCE = 16_000, 60.0
DIGITS = "three one four one five nine two six five zero two seven eight"
LEVELS = (None, -80, -60, -50)
RULES = EndpointRules()
SEARCHES: list[dict[str, Any]] = [
    {"decoding_method": "greedy"},
    {"decoding_method": "beam", "beam_width": 4},
    {"decoding_method": "beam", "beam_width": 10},
    {"decoding_method": "modified_beam", "beam_width": 4},
    {"decoding_method": "modified_beam", "beam_width": 10},
]
OPTIONS: list[dict[str, Any]] = [
    *SEARCHES,
    SEARCHES[2] | {"beam_threshold": 4.0},
    SEARCHES[2] | {"stable_delay": 0.0},
    SEARCHES[1] | {"stable_delay": 1.0},
    SEARCHES[3] | {"beam_threshold": 4.0, "stable_delay": 1.0},
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from emf.export.artifact import ExportOptions, export_artifact
    from emf.export.model import load_model

    root = tmp_path_factory.mktemp("demo") / "artifact"
    export_artifact(load_model("demo"), root, ExportOptions(BACKENDS, recording("digits")[: 3 * RATE]))
    return root


@cache
def recording(name: str) -> FloatArray:
    samples, rate = soundfile.read(RECORDINGS / f"{name}.flac", dtype="float32")
    assert rate == RATE
    return np.asarray(samples, np.float32)


def with_silence(level: int | None) -> FloatArray:
    """Words, a minute at a level in dBFS or of zeros, words."""
    parts = [recording("digits"), np.zeros(round(SILENCE * RATE), np.float32), recording("date")]
    samples = np.concatenate(parts)
    if level is None:
        return samples
    noise = np.random.default_rng(-level).normal(0.0, 10 ** (level / 20), len(samples))
    return np.asarray(samples + noise, np.float32)


def segments(recognizer: Recognizer, recordings: Sequence[FloatArray]) -> list[list[tuple[Result, float]]]:
    """The segments of each recording, and when they ended; decoded as one batch."""
    streams = [recognizer.create_stream() for _ in recordings]
    found: list[list[tuple[Result, float]]] = [[] for _ in recordings]
    for stream, samples in zip(streams, recordings, strict=True):
        stream.accept_waveform(RATE, samples)
        stream.input_finished()
    while any(recognizer.is_ready(stream) for stream in streams):
        recognizer.decode_streams(streams)
        for stream, ended in zip(streams, found, strict=True):
            if recognizer.is_endpoint(stream) and not stream.is_final:
                ended.append((recognizer.reset(stream), stream.state.search.num_frames * recognizer.seconds_per_frame))
    for stream, ended in zip(streams, found, strict=True):
        ended.append((recognizer.get_result(stream), stream.state.search.num_frames * recognizer.seconds_per_frame))
    return found


def words(results: Sequence[Result]) -> str:
    return " ".join(result.text for result in results if result.text)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_endpoint_comes_within_a_step_of_its_rule_and_no_word_is_lost(
    demo: Path, backend: str, options: dict[str, Any]
) -> None:
    audio = [with_silence(level) for level in LEVELS]
    settings: dict[str, Any] = {"backend": backend, "num_threads": 1, **options}
    recognizer = Recognizer.load(demo, endpoint=RULES, **settings)
    step = recognizer.transducer.manifest.seconds_per_step
    without = segments(Recognizer.load(demo, **settings), audio)
    for ended, ((whole, _),) in zip(segments(recognizer, audio), without, strict=True):
        assert words([result for result, _ in ended]) == whole.text
        assert whole.text.startswith(DIGITS)
        assert whole.text.endswith(" enter fifty one"), "the date between them is hard for the demo"
        for result, end in ended[:-1]:
            begin, limit = result.start_time, RULES.silence_before_speech
            if result.words:
                begin, limit = result.words[-1].end, RULES.silence_after_speech
            assert limit - 1e-6 <= end - begin < limit + step - 1e-6
        assert ended[0][0].text == DIGITS
        assert len(ended) > SILENCE / (RULES.silence_before_speech + step)


@pytest.mark.parametrize("search", SEARCHES[2:4], ids=str)
def test_the_engine_and_the_command_cut_where_the_loop_does(demo: Path, backend: str, search: dict[str, Any]) -> None:
    recognizer, samples = (
        Recognizer.load(demo, backend=backend, num_threads=1, endpoint=RULES, **search),
        with_silence(-60),
    )
    expected = [
        (result.text, result.start_time) for (ended,) in [segments(recognizer, [samples])] for result, _ in ended
    ]
    blocks = [(RATE, block) for block in np.array_split(samples, 50)]
    ((transcription,), _) = transcribe_recordings(recognizer, [(Path("silence"), blocks)])
    assert [(result.text, result.start_time) for result in transcription.segments] == expected
    with Engine(recognizer, max_streams=1) as engine, engine.open() as handle:
        for _, block in blocks:
            handle.accept_waveform(RATE, block, timeout=60.0)
        handle.input_finished()
        last = {result.segment: result for result in handle.results(60.0)}
    assert [(result.text, result.start_time) for result in last.values()] == expected
