"""Recognizers of the tiny artifact, opened once for each engine and search."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from emf.runtime.inference.session import BACKENDS
from emf.runtime.recognition.recognizer import Recognizer

Load: TypeAlias = Callable[..., Recognizer]


@pytest.fixture(scope="session")
def load(tiny_artifact: Path) -> Load:
    """`Recognizer.load` of the tiny artifact on one thread, remembering what it opened."""
    opened: dict[tuple[tuple[str, Any], ...], Recognizer] = {}

    def load(**options: Any) -> Recognizer:
        key = tuple(sorted(options.items()))
        if key not in opened:
            opened[key] = Recognizer.load(tiny_artifact, **{"num_threads": 1, **options})
        return opened[key]

    return load


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each engine."""
    return str(request.param)
