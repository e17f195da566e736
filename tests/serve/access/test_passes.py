"""Short-lived keys: who makes them, how long they are good, and what web pages of other origins may read."""

import asyncio
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from websockets.asyncio.client import connect

from emf.serve.access.keys import Account, Keys
from emf.serve.access.passes import Passes, TooManyPasses
from tests.serve.deepgram.talking import AsyncDeepgramClient, DeepgramClient, environment
from tests.serve.live_server import LiveServer, live_server

KEY, PAGE = "lasting-key-0123456789", "https://pages.example"
SECRETS, GRANT = "/v1/realtime/client_secrets", "/v1/auth/grant"
HEADERS = {"Authorization": f"Bearer {KEY}"}
pytestmark = pytest.mark.filterwarnings("ignore:.*websockets.*:DeprecationWarning")  # of deepgram-sdk


@pytest.fixture(scope="module")
def guarded(tiny_artifact: Path) -> Iterator[LiveServer]:
    with live_server(tiny_artifact, keys=Keys([(KEY, Account("owner", 1))]), allow_origin=(PAGE,)) as running:
        yield running


def test_passes_expire_and_are_bounded() -> None:
    now = [0.0]
    passes, ours, theirs = Passes(lambda: now[0]), Account("ours"), Account("theirs")
    first = passes.make(ours, 10.0, "content", "ek_")
    assert first.startswith("ek_")
    found = passes.find(first)
    assert found is not None
    assert (found.account, found.content) == (ours, "content")
    assert passes.find(None) is passes.find("") is passes.find(first[:-1]) is None
    made = [passes.make(ours, 100.0) for _ in range(999)]
    with pytest.raises(TooManyPasses) as caught:
        passes.make(ours, 1.0)
    assert caught.value.seconds == 10.0
    assert passes.find(passes.make(theirs, 1.0)) is not None
    now[0] = 10.0
    assert passes.find(first) is None
    assert passes.find(passes.make(ours, 1.0)) is not None
    assert len(set(made)) == 999
    now[0] = 1_000.0
    passes.make(theirs, 1.0)
    assert len(passes) == 1, "what has expired takes no room"


def test_openais_browser_clients(guarded: LiveServer) -> None:
    """A server of the page makes a key, with the session's settings; the page connects with it."""
    session: Any = {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}
    with OpenAI(api_key=KEY, base_url=guarded.url("/v1", "http")) as client:
        secret = client.realtime.client_secrets.create(
            session=session, expires_after={"anchor": "created_at", "seconds": 60}
        )
        assert 50 < secret.expires_at - time.time() <= 61
        assert secret.session.type == "transcription"

    async def run() -> str:
        offered: Any = ["realtime", f"openai-insecure-api-key.{secret.value}"]
        async with connect(guarded.url("/v1/realtime"), subprotocols=offered, origin=PAGE) as socket:  # type: ignore[arg-type]
            assert socket.subprotocol == "realtime"
        client = AsyncOpenAI(api_key=secret.value, base_url=guarded.url("/v1", "http"))
        async with client, client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            created: Any = await connection.recv()
            return str(created.session.audio.input.format.type)

    assert asyncio.run(run()) == "audio/pcmu", "the session begins with the settings of its key"


def test_deepgrams_clients(guarded: LiveServer) -> None:
    with httpx.Client() as connections:
        client = DeepgramClient(api_key=KEY, environment=environment(guarded), httpx_client=connections)
        granted = client.auth.v1.tokens.grant(ttl_seconds=20)
        assert granted.expires_in == 20
        assert client.auth.v1.tokens.grant().expires_in == 30

    async def run() -> list[str]:
        short = AsyncDeepgramClient(access_token=granted.access_token, environment=environment(guarded))
        async with short.listen.v1.connect(model="x", encoding="linear16", sample_rate=16_000) as socket:
            await socket.send_close_stream()
            return [message.type async for message in socket]

    assert asyncio.run(run()) == ["Metadata"]


@pytest.mark.parametrize("path", [SECRETS, GRANT])
def test_who_may_make_keys(guarded: LiveServer, path: str) -> None:
    """Whoever has a lasting one, and nobody else; and what is made is as good for all protocols, but for this."""
    url = guarded.url(path, "http")
    assert httpx.post(url).status_code == httpx.post(url, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert httpx.post(url, headers=HEADERS | {"Origin": "https://evil.example"}).status_code == 403
    answer = httpx.post(url, headers=HEADERS).json()
    short = {"Authorization": f"Bearer {answer.get('value') or answer['access_token']}"}
    assert httpx.get(guarded.url("/v1/models", "http"), headers=short).status_code == 200
    assert httpx.post(url, headers=short).status_code == 401
    assert httpx.post(url, headers=HEADERS, content=b" " * 300_000).status_code == 413
    for body in ("nonsense", "[1]", '{"ttl_seconds":0,"expires_after":{"seconds":1}}', '{"x":' + "[" * 4_000):
        assert httpx.post(url, headers=HEADERS, content=body).status_code == 400, body[:20]


def test_an_expired_key_opens_nothing(guarded: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAI(api_key=KEY, base_url=guarded.url("/v1", "http")) as client:
        value = client.realtime.client_secrets.create(expires_after={"seconds": 10}).value
    passes = guarded.service.gate.passes
    monkeypatch.setattr(passes, "_clock", lambda: time.monotonic() + 10.1)
    with (
        OpenAI(api_key=value, base_url=guarded.url("/v1", "http")) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_sessions_for_talking_back_are_refused(guarded: LiveServer) -> None:
    answer = httpx.post(guarded.url(SECRETS, "http"), headers=HEADERS, json={"session": {"type": "realtime"}})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "session.type")


def asked(server: LiveServer, origin: str, path: str) -> httpx.Response:
    """What a browser asks before a page's request."""
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    return httpx.options(server.url(path, "http"), headers={"Origin": origin, **wanted})


@pytest.mark.parametrize("path", [SECRETS, "/v1/audio/transcriptions", "/v1/listen"])
def test_pages_of_allowed_origins_may_read(guarded: LiveServer, path: str) -> None:
    allowed = asked(guarded, PAGE, path)
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (HTTPStatus.OK, PAGE)
    assert "authorization" in allowed.headers["Access-Control-Allow-Headers"]
    foreign = asked(guarded, "https://evil.example", path)
    assert "Access-Control-Allow-Origin" not in foreign.headers
    answer = httpx.post(guarded.url(path, "http"), headers={"Origin": PAGE})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, PAGE)


def test_without_allowed_origins_nobody_is_told(server: LiveServer) -> None:
    assert "Access-Control-Allow-Origin" not in asked(server, PAGE, SECRETS).headers
