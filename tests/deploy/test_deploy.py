"""What `deploy/` holds, as far as it can be tried without containers: by nginx, promtool and systemd themselves."""

import asyncio
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import connect

from emf.serve import http_server
from tests.conftest import ROOT
from tests.entry_points import run
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.signals import SAMPLE_RATE, speech_like

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from nginx_before import CERTIFICATE, nginx_before

DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def numbers(path: str, pattern: str) -> list[int]:
    return [int(found) for found in re.findall(pattern, (DEPLOY / path).read_text(encoding="utf-8"))]


def test_whoever_ends_the_server_waits_for_its_drain() -> None:
    for path, grace, before in (
        ("compose.yaml", r"stop_grace_period: (\d+)s", 0),
        ("systemd/emf-serve.service", r"TimeoutStopSec=(\d+)", 0),
        ("kubernetes/emf-serve.yaml", r"terminationGracePeriodSeconds: (\d+)", 5),
    ):
        (drain,) = numbers(path, r"--drain[\", ]+(\d+)")
        (seconds,) = numbers(path, grace)
        assert seconds > drain + before, path


def test_the_alerts_are_about_metrics_that_exist(server: LiveServer) -> None:
    told = httpx.get(server.url("/metrics", "http")).text
    exist = {line.split()[2] for line in told.splitlines() if line.startswith("# TYPE")}
    exist |= {f"{name}_{end}" for name in exist for end in ("total", "bucket")} | {"emf_failed_total"}
    used = set(re.findall(r"\bemf_\w+", ALERTS.read_text(encoding="utf-8")))
    assert len(used) > 7
    assert used <= exist


@needs("promtool")
@pytest.mark.parametrize(
    "check", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts.test.yml")], ids=lambda check: check[0]
)
def test_prometheus_takes_them(check: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *check], cwd=ALERTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs("systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "emf-serve.service"
    text = (DEPLOY / "systemd" / unit.name).read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/emf/bin/emf-serve", "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def small_server(tiny_artifact: Path) -> Iterator[LiveServer]:
    with live_server(tiny_artifact, max_streams=1) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(small_server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of nginx before a server with one place, and the certificate by which it is known."""
    folder = tmp_path_factory.mktemp("nginx")
    with nginx_before(small_server.port, folder) as address:
        yield address, folder / CERTIFICATE


@needs("nginx")
def test_live_text_through_nginx_with_tls(proxy: tuple[str, Path], small_server: LiveServer, tmp_path: Path) -> None:
    address, certificate = proxy
    recording = tmp_path / "speech.wav"
    samples = speech_like(2.0, seed=5).astype(np.float32)
    soundfile.write(recording, samples, SAMPLE_RATE, subtype="FLOAT")
    environment = os.environ | {"SSL_CERT_FILE": str(certificate)}
    done = run("emf-stream", f"wss://{address}", recording, "--rate", "fast", env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().strip() == small_server.recognizer.transcribe(samples, SAMPLE_RATE).text != ""
    place = small_server.service.gate.places.take()
    full = run("emf-stream", f"wss://{address}", recording, "--rate", "fast", env=environment)
    place.give_back()
    assert (full.returncode, full.stderr.count(b"\n")) == (2, 1), full.stderr.decode()
    assert b"503" in full.stderr
    with httpx.Client(base_url=f"https://{address}", verify=ssl.create_default_context(cafile=certificate)) as client:
        assert client.get("/").status_code == 200
        assert client.get("/metrics").status_code == client.get("/health/ready").status_code == 404
        client.get("/", params={"api_key": "secret-of-this-test"})
    assert "secret-of-this-test" not in (certificate.parent / "access.log").read_text(encoding="utf-8")


@needs("nginx")
@pytest.mark.parametrize(("ping_seconds", "close_code"), [(0.2, None), (600.0, 1006)])
def test_silence_behind_nginx_ends_nothing(
    tiny_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ping_seconds: float, close_code: int | None
) -> None:
    """The server's pings keep nginx from giving up, though the client sends nothing; without them, it does."""
    assert http_server._PING_SECONDS <= 20 < min(numbers("nginx/emf.conf", r"proxy_(?:read|send)_timeout\s+(\d+)s"))

    async def run(address: str) -> int | None:
        """How the connection is closed within so long that nginx gives silent ones up, if it is."""
        trusting = ssl.create_default_context(cafile=tmp_path / CERTIFICATE)
        url = f"wss://{address}/v1/realtime?intent=transcription"
        async with connect(url, ssl=trusting, ping_interval=None) as talk:
            with suppress(TimeoutError):
                async with asyncio.timeout(3.0 if close_code is None else SECONDS):
                    await talk.wait_closed()
            return talk.protocol.close_code

    faster = {f"proxy_{way}_timeout    90s": f"proxy_{way}_timeout 2s" for way in ("read", "send")}
    monkeypatch.setattr(http_server, "_PING_SECONDS", ping_seconds)
    with live_server(tiny_artifact) as server, nginx_before(server.port, tmp_path, faster) as address:
        assert asyncio.run(run(address)) == close_code
