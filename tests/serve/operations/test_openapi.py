"""The server keeps what its OpenAPI document promises: schemathesis asks, sensibly and not."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import soundfile
from hypothesis import HealthCheck, settings

from emf.serve.access.keys import Account, Keys
from tests.serve.live_server import LiveServer, live_server
from tests.signals import SAMPLE_RATE, speech_like

KEY = "openapi-key-0123456789"
DOCUMENT = Path(__file__).parents[3] / "serve" / "operations" / "openapi.json"
EXAMPLES = int(os.environ.get("EMF_FUZZ_EXAMPLES", "12"))
"""Of each operation; `tools/fuzz_messages.py --rest` asks more."""
HEADERS = {"Authorization": f"Bearer {KEY}"}


def wav(seconds: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, speech_like(seconds), SAMPLE_RATE, format="WAV")
    return file.getvalue()


WAV = wav(0.5)


@pytest.fixture(scope="module")
def guarded(tiny_artifact: Path) -> Iterator[LiveServer]:
    with live_server(tiny_artifact, keys=Keys([(KEY, Account("tester"))])) as running:
        yield running


schema = schemathesis.openapi.from_path(DOCUMENT)


@schema.parametrize()
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case: Any, guarded: LiveServer) -> None:
    is_sensible = case.meta is not None and case.meta.generation.mode.is_positive
    if is_sensible and isinstance(case.body, dict) and "file" in case.body:
        case.body["file"] = WAV  # what is random is none
    elif is_sensible and case.path == "/v1/listen":
        case.body = WAV
    case.call_and_validate(base_url=guarded.url("", "http"), headers=HEADERS)


def test_all_that_is_served_over_http_is_described(guarded: LiveServer) -> None:
    paths = httpx.get(guarded.url("/openapi.json", "http")).json()["paths"]
    assert {
        "/health/live",
        "/health/ready",
        "/metrics",
        "/openapi.json",
        "/v1/audio/transcriptions",
        "/v1/listen",
    } < paths.keys()
