"""Who is let in: keys in all the places where clients put them, origins, quotas."""

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from emf.runtime.errors import UsageError
from emf.serve.access.keys import Account, Keys, read_keys
from tests.serve.live_server import LiveServer, live_server

GOOD, SMALL, BAD = "good-key-0123456789", "small-key-0123456789", "wrong-key-0123456789"


@pytest.fixture(scope="module")
def guarded(tiny_artifact: Path) -> Any:
    keys = Keys([(GOOD, Account("good")), (SMALL, Account("small", 1))])
    with live_server(tiny_artifact, keys=keys, allow_origin=("https://pages.example",)) as running:
        yield running


def places(key: str) -> dict[str, dict[str, Any]]:
    """What a client adds to its connection, for each place of a key."""
    return {
        "bearer": {"additional_headers": {"Authorization": f"Bearer {key}"}},
        "token": {"additional_headers": {"Authorization": f"token {key}"}},
        "query": {"query": f"?api_key={key}"},
        "openai": {"subprotocols": ["realtime", f"openai-insecure-api-key.{key}"]},
        "deepgram": {"subprotocols": ["token", key]},
    }


async def status(server: LiveServer, query: str = "", **options: Any) -> int:
    try:
        async with connect(server.url() + query, **options):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("place", places(GOOD))
def test_keys(guarded: LiveServer, place: str) -> None:
    assert asyncio.run(status(guarded, **places(GOOD)[place])) == 101
    assert asyncio.run(status(guarded, **places(BAD)[place])) == 401
    assert asyncio.run(status(guarded, **places("")[place] if place == "query" else {})) == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic x", f"Bearer{GOOD}", f"Bearer {GOOD}x", "Bearer é"])
def test_headers_that_hold_no_key(guarded: LiveServer, header: str) -> None:
    raw = {"Authorization": header.encode().decode("latin-1")}
    assert asyncio.run(status(guarded, additional_headers=raw)) == 401


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("https://pages.example", 101), ("https://evil.example", 403), ("null", 403), ("http://127.0.0.1:{port}", 101)],
)
def test_origins(guarded: LiveServer, origin: str, expected: int) -> None:
    where = origin.format(port=guarded.port)
    headers = {"Authorization": f"Bearer {GOOD}"}
    assert asyncio.run(status(guarded, additional_headers=headers, origin=where)) == expected


def test_a_quota_is_that_of_its_key(guarded: LiveServer) -> None:
    async def run() -> int | None:
        headers = {"Authorization": f"Bearer {SMALL}"}
        async with connect(guarded.url(), additional_headers=headers) as first:
            await first.send('{"type":"start"}')
            await first.recv()
            async with connect(guarded.url(), additional_headers=headers) as second:
                with pytest.raises(ConnectionClosed):
                    while True:
                        await second.recv()
            assert await status(guarded, additional_headers={"Authorization": f"Bearer {GOOD}"}) == 101
            return second.protocol.close_code

    assert asyncio.run(run()) == 1008
    assert asyncio.run(status(guarded, additional_headers={"Authorization": f"Bearer {SMALL}"})) == 101


def test_health_and_metrics_need_no_key(guarded: LiveServer) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        assert httpx.get(guarded.url(path, "http")).status_code == HTTPStatus.OK


def test_files_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# ours\n{GOOD}  alice 3\n\n{SMALL}\n", encoding="utf-8")
    keys = read_keys(path, "ignored")
    alice, other = keys.account_of(GOOD), keys.account_of(SMALL)
    assert alice is not None
    assert (alice.name, alice.max_streams) == ("alice", 3)
    assert other is not None
    assert (other.name, other.max_streams) == ("line-4", None)
    assert keys.account_of(None) is keys.account_of("") is keys.account_of(BAD) is None


@pytest.mark.parametrize(
    "text", ["", "short\n", f"{GOOD} a many\n", f"{GOOD} a 1 2\n", f"{GOOD}\n{GOOD}\n", f"{GOOD} a 0\n"]
)
def test_files_of_keys_that_make_no_sense(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_keys(path, None)
    assert GOOD not in str(caught.value)


def test_keys_of_the_environment() -> None:
    assert read_keys(None, f" {GOOD}, {SMALL},").account_of(SMALL) is not None
    assert not read_keys(None, "")
    with pytest.raises(UsageError):
        read_keys(None, "short")
