"""Snapshots of version 0.1.0, before a stream's state became one value, go on as they did there.

`tests/data/snapshots` holds what that build wrote, and what it made of the rest of the audio. Where audio is
resampled, the rest is what today's filter makes of it: the text of a random model changes with the smallest difference.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from emf.runtime import LanguageModel, Recognizer
from emf.runtime.recognition.packed_arrays import pack, unpack
from tests.runtime.guidance.arpa_text import SMALL, to_arpa
from tests.signals import speech_like
from tests.tolerances import SCORE

FOLDER = Path(__file__).parents[2] / "data" / "snapshots"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
SECONDS, SEED = 4.0, 1


def without_history(blob: bytes) -> bytes:
    """The snapshot without the resampler's input, of which that build kept more."""
    header, arrays = unpack(blob)
    return pack(header, {**arrays, "history": arrays["history"][:0]})


@pytest.mark.parametrize("name", EXPECTED)
def test_goes_on_as_the_build_that_took_it(tiny_artifact: Path, tmp_path: Path, name: str) -> None:
    case = EXPECTED[name]
    options = dict(case["options"])
    if case["language_model"]:
        (tmp_path / "words.arpa").write_text(to_arpa(SMALL), encoding="utf-8")
        options["language_model"] = LanguageModel.read(tmp_path / "words.arpa", 0.5, 0.1)
    recognizer = Recognizer.load(tiny_artifact, backend="onnxruntime", num_threads=1, **options)
    blob = (FOLDER / f"{name}.bin").read_bytes()
    stream = recognizer.restore_stream(blob)
    assert without_history(stream.snapshot()) == without_history(blob), "to the byte"
    before = recognizer.get_result(stream)
    assert (before.text, before.stable_text) == (case["text_so_far"], case["stable_text"])
    if not case["ended"]:
        samples = speech_like(SECONDS, SEED, sample_rate=case["rate"])
        stream.accept_waveform(case["rate"], samples[case["fed"] :])
        stream.input_finished()
    recognizer.decode_ready([stream])
    result = recognizer.get_result(stream)
    assert list(result.token_ids) == case["token_ids"]
    assert list(result.timestamps) == pytest.approx(case["timestamps"])
    assert result.score == pytest.approx(case["score"], abs=SCORE)
    assert result.segment == case["segment"]
    assert result.start_time == pytest.approx(case["start_time"])
