"""One server for the tests that leave it as it is."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from emf.serve.service import service
from tests.serve.live_server import LiveServer, live_server


@pytest.fixture(scope="session")
def server(tiny_artifact: Path) -> Iterator[LiveServer]:
    """A server of the tiny model, without endpoints."""
    with live_server(tiny_artifact) as running:
        yield running


@pytest.fixture(scope="session")
def demo_server(demo_artifact: Path) -> Iterator[LiveServer]:
    """A server of the demo model, without endpoints, also at the ports of single protocols."""
    with live_server(demo_artifact, sherpa_port=0, vosk_port=0, wyoming_port=0) as running:
        yield running


@pytest.fixture
def winding_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ends does so with its sessions at once: all of its drain is left for decoding what came."""
    monkeypatch.setattr(service, "_WIND_UP_SHARE", 1.0)
    monkeypatch.setattr(service, "_WIND_UP_SECONDS", math.inf)
