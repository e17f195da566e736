"""A snapshot that contradicts itself or the artifact is refused, whichever of its fields is wrong."""

import copy
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime import EmfError, LanguageModel, Recognizer, SnapshotError, Stream
from emf.runtime.arrays import Array
from emf.runtime.recognition.packed_arrays import pack, unpack
from tests.runtime.guidance.arpa_text import SMALL, to_arpa
from tests.signals import speech_like

RATE = 8_000
AUDIO = speech_like(3.0, seed=1, sample_rate=RATE)
Parts = tuple[dict[str, Any], dict[str, Array]]
Damage = Callable[[Any], Any]


@pytest.fixture(scope="module")
def recognizer(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    arpa = tmp_path_factory.mktemp("words") / "words.arpa"
    arpa.write_text(to_arpa(SMALL), encoding="utf-8")
    return Recognizer.load(
        tiny_artifact,
        backend="onnxruntime",
        num_threads=1,
        beam_width=4,
        step_max_tokens=4,
        phrases={"ta": 2.0},
        language_model=LanguageModel.read(arpa, 0.2),
    )


@pytest.fixture(scope="module")
def parts(recognizer: Recognizer) -> Parts:
    """Header and arrays of a stream of which every field says something."""
    stream = recognizer.create_stream()
    stream.accept_waveform(RATE, AUDIO[:12_345])
    for _ in range(8):
        recognizer.decode_streams([stream])
    header, arrays = unpack(stream.snapshot())
    assert header["step"] == 8 and len(header["lengths"]) == 4 and header["resampler"]
    assert all(array.size for array in arrays.values()), "an empty array tests nothing"
    return header, arrays


def restored(recognizer: Recognizer, header: dict[str, Any], arrays: dict[str, Array]) -> Stream:
    return recognizer.restore_stream(pack(header, arrays))


def test_the_undamaged_one_is_taken(recognizer: Recognizer, parts: Parts) -> None:
    assert restored(recognizer, *parts).state.clock.step == 8


HEADER_DAMAGES: dict[str, Damage] = {
    "another type": lambda value: [None] if isinstance(value, int | str) else 1,
    "null": lambda value: None,
    "negative": lambda value: -1,
    "huge": lambda value: 2**60,
    "one more": lambda value: value + 1 if type(value) is int else [*value, value[-1]] if type(value) is list else "x",
    "one fewer": lambda value: value - 1 if type(value) is int else value[:-1] if type(value) is list else "x",
    "other words": lambda value: ["?"] * len(value) if type(value) is list else "?",
}
ARRAY_DAMAGES: dict[str, Damage] = {
    "one more": lambda array: np.concatenate([array, array[-1:]]),
    "one fewer": lambda array: array[:-1],
    "another axis": lambda array: array[None],
    "another type": lambda array: array.astype(np.int64 if array.dtype.kind == "f" else np.float32),
    "not finite": lambda array: np.full_like(array, np.nan) if array.dtype.kind == "f" else -array - 1,
    "huge": lambda array: np.full_like(array, np.inf if array.dtype.kind == "f" else 2**40),
}
HEADER_FIELDS = (
    "identity",
    "start",
    "finished",
    "step",
    "segment",
    "segment_start_frame",
    "num_committed",
    "num_frames",
    "lengths",
    "phrases",
    "bias_paths",
    "resampler",
    "language_model",
)
ARRAY_FIELDS = (
    "samples",
    "history",
    "tokens",
    "timestamps",
    "log_probs",
    "beam_tokens",
    "beam_timestamps",
    "beam_log_probs",
    "beam_scores",
    "beam_predictions",
    "beam_states",
    "encoder.past_length",
    "encoder.attention_cache",
)


CONSISTENT = {
    ("segment", "one more"),  # as if the first segment had been reset before it began
    ("encoder.past_length", "not finite"),  # a number of the graph's own
    ("encoder.past_length", "huge"),
}
"""Damages that contradict nothing; the last test sees what becomes of such a stream."""


def damages(fields: Sequence[str], kinds: Iterable[str]) -> list[tuple[str, str]]:
    return [case for case in product(fields, kinds) if case not in CONSISTENT]


def test_every_field_is_damaged_below(parts: Parts) -> None:
    header, arrays = parts
    assert set(header) == set(HEADER_FIELDS)
    assert set(arrays) == set(ARRAY_FIELDS)


@pytest.mark.parametrize(("field", "damage"), damages(HEADER_FIELDS, HEADER_DAMAGES))
def test_a_damaged_header_is_refused(recognizer: Recognizer, parts: Parts, field: str, damage: str) -> None:
    header, arrays = copy.deepcopy(parts)
    header[field] = HEADER_DAMAGES[damage](header[field])
    with pytest.raises(SnapshotError) as caught:
        restored(recognizer, header, arrays)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("field", "damage"), damages(ARRAY_FIELDS, ARRAY_DAMAGES))
def test_a_damaged_array_is_refused(recognizer: Recognizer, parts: Parts, field: str, damage: str) -> None:
    header, arrays = copy.deepcopy(parts)
    arrays[field] = ARRAY_DAMAGES[damage](arrays[field])
    with pytest.raises(SnapshotError):
        restored(recognizer, header, arrays)


@pytest.mark.parametrize("field", sorted({*HEADER_FIELDS, *ARRAY_FIELDS} - {"language_model"}))
def test_a_missing_field_is_refused(recognizer: Recognizer, parts: Parts, field: str) -> None:
    """But for the language model: a stream may go without one."""
    header, arrays = copy.deepcopy(parts)
    header.pop(field, None)
    arrays.pop(field, None)
    with pytest.raises(SnapshotError):
        restored(recognizer, header, arrays)


@given(data=st.data())
def test_whatever_is_changed_nothing_but_our_own_errors_come(
    recognizer: Recognizer, parts: Parts, data: st.DataObject
) -> None:
    """Several fields at once, by a little: refused, or a stream that goes on to its end."""
    header, arrays = copy.deepcopy(parts)
    for field in data.draw(st.lists(st.sampled_from(HEADER_FIELDS), max_size=3, unique=True)):
        if isinstance(header[field], int):
            header[field] = data.draw(st.integers(0, 40))
        elif isinstance(header[field], list) and isinstance(header[field][0], int):
            header[field] = data.draw(st.lists(st.integers(0, 20_000), max_size=4))
    for field in data.draw(st.lists(st.sampled_from(ARRAY_FIELDS), max_size=3, unique=True)):
        array = arrays[field].reshape(-1)
        place, value = data.draw(st.integers(0, array.size - 1)), data.draw(st.integers(-3, 40))
        array[place] = value
    try:
        stream = restored(recognizer, header, arrays)
    except SnapshotError:
        return
    try:
        stream.accept_waveform(RATE, AUDIO[:4_000])
        stream.input_finished()
        recognizer.decode_ready([stream])
    except EmfError:
        pass
    assert recognizer.get_result(stream).words is not None
