"""Whatever a caller passes, what comes is an `EmfError`, at once; numbers of other libraries are taken."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emf.runtime import EmfError, Engine, LanguageModel, Recognizer, UsageError
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.search.options import SearchOptions


def named(value: object) -> str:
    """The same in every test process: the representation of a bare object holds its address."""
    return "object()" if type(value) is object else repr(value)


WRONG: list[Any] = [2.5, object(), [], b"x", True, np.array([1, 2]), 1 + 2j, "\0"]
CALLS: dict[str, Callable[[Recognizer, Any], object]] = {
    "phrases": lambda r, value: r.create_stream(phrases=value),
    "language_model": lambda r, value: r.create_stream(language_model=value),
    "restore_stream": lambda r, value: r.restore_stream(value),
    "decode_streams": lambda r, value: r.decode_streams([value]),
    "get_result": lambda r, value: r.get_result(value),
    "is_ready": lambda r, value: r.is_ready(value),
    "is_endpoint": lambda r, value: r.is_endpoint(value),
    "reset": lambda r, value: r.reset(value),
    "LanguageModel": lambda _, value: LanguageModel(value),
    "artifact": lambda _, value: Recognizer.load(value),
    "endpoint": lambda r, value: Recognizer.load(r.transducer.manifest.root, endpoint=value),
}


@pytest.fixture(scope="module")
def recognizer(tiny_artifact: Path) -> Recognizer:
    return Recognizer.load(tiny_artifact, num_threads=1, beam_width=2)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("value", WRONG, ids=named)
def test_calls(recognizer: Recognizer, name: str, value: Any) -> None:
    with pytest.raises(EmfError):
        CALLS[name](recognizer, value)


@pytest.mark.parametrize("name", list(RecognizerOptions.__dataclass_fields__))
@pytest.mark.parametrize(
    "value", [object(), {}, [], b"x", True, np.array([1, 2]), 1 + 2j, 10**400, math.nan], ids=named
)
def test_options(name: str, value: Any) -> None:
    if value is True and isinstance(getattr(RecognizerOptions(), name), bool):
        value = 1  # true is the right kind of value there, and a number is not
    with pytest.raises(UsageError, match=f"expected {name} "):
        RecognizerOptions(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("beam_width", 2.5), ("stable_delay", "1"), ("num_threads", 1.0)])
def test_numbers_of_the_wrong_kind(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"expected {name} from"):
        RecognizerOptions(**{name: value})


@pytest.mark.parametrize("value", [*WRONG, math.nan], ids=named)
def test_engines(recognizer: Recognizer, value: Any) -> None:
    with pytest.raises(UsageError, match="expected"):
        Engine(value)
    with Engine(recognizer, max_batch=1) as engine, engine.open() as handle:
        with pytest.raises(UsageError, match="expected a stream"):
            engine.open(value)
        with pytest.raises(UsageError, match="expected a function"):
            engine.open(on_result=value)
        if not isinstance(value, float | bool) or math.isnan(value):
            with pytest.raises(UsageError, match="expected a timeout"):
                handle.result(value)


@pytest.mark.parametrize("timeout", [0.0, 0.01, -1.0])
def test_a_result_that_does_not_come_is_an_error_of_ours(recognizer: Recognizer, timeout: float) -> None:
    with Engine(recognizer, max_batch=1) as engine, engine.open() as handle:
        with pytest.raises(EmfError, match="did not end within") as raised:
            handle.result(timeout)
        assert isinstance(raised.value, TimeoutError)


def test_phrases_and_models_by_name(tiny_artifact: Path) -> None:
    wrong: dict[str, Any]
    for wrong in ({"phrases": ["one"]}, {"language_model": "x.arpa"}, {"endpoint": 1.2}):
        with pytest.raises(UsageError, match="expected"):
            Recognizer.load(tiny_artifact, **wrong)


def test_numbers_of_numpy_become_plain() -> None:
    given: dict[str, Any] = {"beam_width": np.int64(4), "beam_threshold": np.float32(4), "step_max_tokens": np.uint8(9)}
    options = SearchOptions(**given)
    assert options == SearchOptions(beam_width=4, beam_threshold=4.0, step_max_tokens=9)
    assert {type(getattr(options, name)) for name in given} == {int, float}


def test_streams_may_come_one_by_one(recognizer: Recognizer) -> None:
    """What is only looked at once, such as a generator, is not used up by looking at its types."""
    streams = [recognizer.create_stream() for _ in range(2)]
    for stream in streams:
        stream.accept_waveform(16_000, np.zeros(16_000, np.float32))
    recognizer.decode_streams(stream for stream in streams)  # type: ignore[arg-type]
    assert [stream.state.clock.step for stream in streams] == [1, 1]
