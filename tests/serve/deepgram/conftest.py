"""A server of the demo model, and what it is told."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from emf.runtime import EndpointRules
from tests.serve.live_server import LiveServer, live_server

RECORDINGS = Path(__file__).parents[3] / "export" / "demo" / "recordings"


@pytest.fixture(scope="package")
def demo(demo_artifact: Path) -> Iterator[LiveServer]:
    with live_server(demo_artifact, endpoint=EndpointRules(), max_streams=4) as running:
        yield running


@pytest.fixture(scope="package")
def server(tiny_artifact: Path) -> Iterator[LiveServer]:
    """One that no other protocol's clients left sessions in."""
    with live_server(tiny_artifact) as running:
        yield running


def recording(name: str) -> npt.NDArray[np.int16]:
    """A recording of the demo, 16 kHz."""
    samples, _ = soundfile.read(RECORDINGS / f"{name}.flac", dtype="int16")
    return np.asarray(samples, np.int16)
