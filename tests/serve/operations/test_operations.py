"""Health, metrics, logs."""

import asyncio
import json
import logging
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from emf.serve.operations.logs import JsonFormatter
from emf.serve.pool.in_process import InProcessPool
from tests.conftest import ROOT
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.native.talking import talking
from tests.signals import SAMPLE_RATE, speech_like

BYTES = (speech_like(2.0, seed=5) * 32767).astype(np.int16).tobytes()


def metrics(server: LiveServer) -> dict[str, float]:
    """Values by name, summed over labels."""
    text = httpx.get(server.url("/metrics", "http")).text
    found: dict[str, float] = {}
    for sample in (s for family in text_string_to_metric_families(text) for s in family.samples):
        found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def until(server: LiveServer, **values: float) -> dict[str, float]:
    """The metrics, once they have these values."""
    end = time.monotonic() + SECONDS
    while not {f"emf_{name}": value for name, value in values.items()}.items() <= (found := metrics(server)).items():
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def test_metrics_tell_what_happened(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> dict[str, float]:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.socket.send(BYTES)
            await talk.hear("result")
            live = await asyncio.to_thread(metrics, server)
            await talk.say("finish")
            await talk.hear("done")
        async with talking(server, channels=0) as talk:
            await talk.hear("error")
        return live

    with live_server(tiny_artifact) as server:
        live = asyncio.run(run(server))
        assert (live["emf_sessions"], live["emf_streams"], live["emf_capacity"]) == (1, 1, 8)
        assert live["emf_connections"] == 2, "the client, and who reads the metrics"
        after = until(server, streams=0, sessions=0, engine_finished_total=1)
        assert after["emf_audio_seconds_total"] == pytest.approx(2.0)
        assert after["emf_failed_total"] == 1
        assert after["emf_lag_seconds_count"] > 0
        assert after["emf_final_seconds_count"] == 1


def test_a_silent_connection_pins_no_machine(tiny_artifact: Path) -> None:
    """What the autoscaler reads goes down though the client stays: `emf_streams` counts what is being decoded."""

    async def run(server: LiveServer) -> None:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            for _ in range(2):
                await talk.socket.send(BYTES)
                await asyncio.to_thread(until, server, streams=1, sessions=1)
                await asyncio.to_thread(until, server, streams=0, sessions=1)

    assert "name: emf_streams" in (ROOT / "deploy" / "kubernetes" / "emf-serve.yaml").read_text(encoding="utf-8")
    with live_server(tiny_artifact, park_after=1.0) as server:
        asyncio.run(run(server))
        assert server.engine.metrics().admitted == 2


def test_readiness(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> tuple[int, str]:
        async with talking(server):
            answer = await asyncio.to_thread(httpx.get, server.url("/health/ready", "http"))
            return answer.status_code, answer.json()["status"]

    with live_server(tiny_artifact, max_streams=1) as server:
        assert httpx.get(server.url("/health/ready", "http")).json() == {"status": "ready", "streams": 0, "capacity": 1}
        assert asyncio.run(run(server)) == (503, "full")
        assert httpx.get(server.url("/health/live", "http")).status_code == 200


def test_nobody_is_ready_without_a_worker(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live_server(tiny_artifact) as server:
        monkeypatch.setattr(InProcessPool, "capacity", 8)
        monkeypatch.setattr(InProcessPool, "metrics", lambda _: [])
        answer = httpx.get(server.url("/health/ready", "http"))
    assert (answer.status_code, answer.json()["status"]) == (503, "no worker")


def test_logs_hold_neither_keys_nor_transcripts(server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> str:
        async with talking(server, sample_rate=SAMPLE_RATE) as talk:
            await talk.socket.send(BYTES)
            await talk.say("finish")
            text: str = (await talk.hear("done"))["text"]
            return text

    with caplog.at_level(logging.DEBUG, "emf"):
        text = asyncio.run(run())
    assert text not in caplog.text


def test_a_log_of_json() -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        record = logging.LogRecord("emf.serve", logging.ERROR, "", 1, "two\nlines %s", ("é",), None)
        record.exc_info = __import__("sys").exc_info()
    document = json.loads(JsonFormatter().format(record))
    assert document["message"] == "two lines é"
    assert document["level"] == "error"
    assert "ValueError: wrong" in document["traceback"]
