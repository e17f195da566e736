"""Every endpoint that transcribes or names the model wants a key, wherever the client puts it, before all else."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emf.serve.access.keys import Account, Keys
from tests.serve.live_server import LiveServer, live_server

GOOD, BAD = "good-key-0123456789", "wrong-key-0123456789"
SOCKETS = ["/emf/v1/stream", "/v1/realtime", "/v1/listen?encoding=linear16&sample_rate=16000", "/vosk", "/sherpa"]
REQUESTS = [
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model}"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/listen"),
    ("POST", "/v1/realtime/client_secrets"),
    ("POST", "/v1/auth/grant"),
]
HEADERS = {"bearer": "Bearer {}", "token": "Token {}"}


@pytest.fixture(scope="module")
def guarded(tiny_artifact: Path) -> Iterator[LiveServer]:
    with live_server(tiny_artifact, keys=Keys([(GOOD, Account("good"))]), vosk_port=0, sherpa_port=0) as running:
        yield running


def with_query(path: str, key: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}api_key={key}"


def ways(path: str, key: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Path and options of a connection, for each place of a key."""
    return {
        "query": (with_query(path, key), {}),
        "realtime": (path, {"subprotocols": ["realtime", f"openai-insecure-api-key.{key}"]}),
        "token subprotocol": (path, {"subprotocols": ["token", key]}),
        "bearer subprotocol": (path, {"subprotocols": ["bearer", key]}),
    } | {name: (path, {"additional_headers": {"Authorization": form.format(key)}}) for name, form in HEADERS.items()}


async def status(url: str, **options: Any) -> int:
    try:
        async with connect(url, **options):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def places(server: LiveServer) -> list[tuple[str, str]]:
    own = [(f"ws://127.0.0.1:{port}", "/") for port in server.ports.values()]
    return [*((server.url("", "ws"), path) for path in SOCKETS), *own]


def test_sockets(guarded: LiveServer) -> None:
    async def run() -> dict[tuple[str, str, str], int]:
        found = {}
        for base, path in places(guarded):
            found[base, path, "none"] = await status(base + path)
            for key in (GOOD, BAD):
                for name, (where, options) in ways(path, key).items():
                    found[base, path, f"{key} as {name}"] = await status(base + where, **options)
        return found

    found = asyncio.run(run())
    assert len(found) == 7 * 13
    wrong = {case: got for case, got in found.items() if got != (101 if case[2].startswith(GOOD) else 401)}
    assert not wrong


def test_requests(guarded: LiveServer) -> None:
    wrong = []
    with httpx.Client(base_url=guarded.url("", "http")) as client:
        for method, template in REQUESTS:
            path = template.format(model=guarded.service.pool.facts.name)
            refused = [client.request(method, path), client.request(method, with_query(path, BAD))]
            good = [client.request(method, with_query(path, GOOD))]
            for form in HEADERS.values():
                refused.append(client.request(method, path, headers={"Authorization": form.format(BAD)}))
                good.append(client.request(method, path, headers={"Authorization": form.format(GOOD)}))
            wrong += [(path, answer.status_code) for answer in refused if answer.status_code != 401]
            wrong += [(path, answer.status_code) for answer in good if answer.status_code not in (200, 400)]
            assert all("Bearer" in answer.headers.get("WWW-Authenticate", "Bearer") for answer in refused)
    assert not wrong
    assert not guarded.service.sessions


def test_what_needs_no_key(guarded: LiveServer) -> None:
    """The captions page asks for a key itself; operations are for those who reach the port."""
    for path in ("/", "/health/live", "/health/ready", "/metrics", "/openapi.json"):
        assert httpx.get(guarded.url(path, "http")).status_code == 200, path
