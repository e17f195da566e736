"""Load on servers whose delays and faults are known, by every protocol; and on our own, without an engine."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.resampler import Resampler
from emf.runtime.errors import UsageError
from emf.runtime.measure.capacity import find_capacity
from emf.serve.load.alone import Alone
from emf.serve.load.call import Call, Server, Update, call
from emf.serve.load.client import CallFailed, Client
from emf.serve.load.clients import CLIENTS, address
from emf.serve.load.deepgram import DeepgramClient
from emf.serve.load.figures import Load
from emf.serve.load.loading import run_load
from emf.serve.load.openai import OpenAIClient
from emf.serve.protocols import PROTOCOLS
from tests.serve.live_server import LiveServer
from tests.serve.load.virtual_time import run
from tests.serve.load.word_server import WordServer
from tests.signals import SAMPLE_RATE, speech_like
from tests.test_import_rules import ENGINES, HEAVY, run_without

DELAY = 0.08  # Vosk's clients wait for each answer, and more would slow them down


def speaking(url: str, protocol: str) -> Server:
    facts = CLIENTS[protocol]()
    return Server(address(url, facts.path), {"Authorization": f"{facts.scheme} key"}, CLIENTS[protocol])


async def load_of(server: WordServer, streams: int, seconds: float, recording: float = 0.9) -> Load:
    async with server.running() as url:
        rate = CLIENTS[server.protocol]().sample_rate
        recordings = [np.zeros(round(length * rate), np.float32) for length in (recording, 0.7 * recording)]
        target = speaking(url, server.protocol)
        alone = [Alone.of(await call(target, number, samples)) for number, samples in enumerate(recordings)]
        assert alone[0].text == " ".join(f"word{n}" for n in range(int(recording / 0.2 + 1e-6)))
        return await run_load(target, recordings, alone, streams, seconds)


async def delayed(protocol: str) -> Load:
    """The server answers late as soon as two connections are open."""
    server = WordServer(protocol, delay=lambda connections: DELAY if connections > 1 else 0.0)
    load = await load_of(server, streams=3, seconds=1.1)
    assert server.authorization == {"Token key" if protocol == "deepgram" else "Bearer key"}
    return load


@pytest.mark.parametrize("protocol", CLIENTS)
def test_a_known_delay_is_measured(protocol: str) -> None:
    load = run(delayed(protocol))
    figures = load.figures()
    assert (figures.refused, figures.failed, figures.wrong_text) == (0, 0, 0), figures
    assert figures.recordings == 5
    answers = 2 if protocol == "vosk" else 1
    assert figures.final_ms.p50 == pytest.approx(1e3 * answers * DELAY)
    assert figures.lag_ms.p50 == pytest.approx(1e3 * DELAY)
    assert figures.sending_late_ms.p99 == pytest.approx(0.0, abs=1e-6)
    assert load.within(1.01 * DELAY)
    assert not load.within(0.99 * DELAY)


def test_no_delay_is_none() -> None:
    figures = run(load_of(WordServer("emf"), streams=3, seconds=1.1)).figures()
    assert figures.lag_ms.p99 == pytest.approx(0.0, abs=1e-6)
    assert figures.final_ms.p99 == pytest.approx(0.0, abs=1e-6)
    assert figures.updates >= 3 * 4
    assert figures.kept_up


def test_refusals_failures_and_wrong_texts_are_counted() -> None:
    server = WordServer("emf", most=3, spoils=(4,), breaks=(5,), refuses_after=0.02)
    load = run(load_of(server, streams=4, seconds=1.1))
    figures = load.figures()
    assert figures.wrong_text == 1
    assert figures.failed == 1
    assert figures.refused >= 1
    assert figures.reasons == {"http_503": figures.refused, "closed_1011": 1}
    assert figures.refused_ms.p99 == pytest.approx(20.0)
    assert not load.within(10.0)


def test_the_search_finds_the_most_and_gives_hopeless_loads_up() -> None:
    async def load(streams: int) -> Load:
        async with WordServer("emf", delay=lambda connections: 0.0 if connections <= 2 else 0.9).running() as url:
            samples = [np.zeros(10_000, np.float32)]
            target = speaking(url, "emf")
            alone = [Alone.of(await call(target, 0, samples[0]))]
            return await run_load(target, samples, alone, streams, 0.6, hopeless_after=0.1)

    most, loads = find_capacity(lambda streams: run(load(streams)), 0.1)
    assert most == 2
    assert {load.streams: load.kept_up for load in loads}[4] is False


def test_lags_are_counted_from_what_the_text_needs() -> None:
    """A reference that was disturbed is corrected; text of the end, unknown text and text after the load count not."""
    alone = Alone("a b c", ("a", "a b", "a b c"), [2, 7, 11])
    made = Call(0, 10, 1.0, begin=100.0, text="a b c")
    made.updates = [Update(0.3, 3, "a"), Update(0.55, 5, "a b"), Update(0.6, 6, "x"), Update(1.2, 11, "a b c")]
    alone.learn(made)
    assert alone.needs == [2, 5, 11]
    assert list(alone.lags(made, until=200.0)) == pytest.approx([0.1, 0.05])
    assert list(alone.lags(made, until=100.4)) == pytest.approx([0.1])


def test_what_servers_say_in_other_places() -> None:
    """By the protocols' documentation: errors, unknown messages, several items."""
    openai = OpenAIClient()
    assert openai.hear('{"type":"rate_limits.updated"}') is None
    with pytest.raises(CallFailed) as failure:
        openai.hear('{"type":"error","error":{"type":"invalid_request_error","code":"bad","message":"no"}}')
    assert failure.value.reason == "bad"
    deepgram = DeepgramClient()
    assert deepgram.hear('{"type":"SpeechStarted","channel":[0,1],"timestamp":0.1}') is None
    with pytest.raises(CallFailed, match="text"):
        deepgram.hear('{"type":"Error","variant":"SchemaError","description":"text"}')


@pytest.mark.parametrize(
    ("client", "reason"), [(lambda: OpenAIClient(), "bad_answer"), (lambda: DeepgramClient(), "bad_answer")]
)
def test_another_protocol_is_a_failure(client: Callable[[], Client], reason: str) -> None:
    async def speak() -> None:
        async with WordServer("vosk").running() as url:
            await call(Server(address(url, "/"), {}, client), 0, np.zeros(16_000, np.float32))

    with pytest.raises(CallFailed) as failure:
        run(speak())
    assert failure.value.reason in (reason, "closed_1011")


def test_nobody_is_there() -> None:
    with pytest.raises(CallFailed) as failure:
        asyncio.run(call(Server("ws://127.0.0.1:1", {}, CLIENTS["emf"]), 0, np.zeros(100, np.float32)))
    assert failure.value.reason == "unreachable"


def test_our_own_server_by_all_of_its_protocols(server: LiveServer) -> None:
    samples = {rate: resampled(rate) for rate in (16_000, 24_000)}

    async def measured(protocol: str) -> tuple[str, Load]:
        target, audio = speaking(server.url("", "http"), protocol), samples[CLIENTS[protocol]().sample_rate]
        alone = [Alone.of(await call(target, 0, audio))]
        return alone[0].text, await run_load(target, [audio], alone, 1, 1.0)

    async def load_all() -> dict[str, tuple[str, Load]]:
        spoken = [protocol for protocol in CLIENTS if protocol in PROTOCOLS]
        return dict(zip(spoken, await asyncio.gather(*map(measured, spoken)), strict=True))

    expected = server.recognizer.transcribe(samples[16_000], 16_000).text
    found = asyncio.run(load_all())
    assert "emf" in found
    for protocol, (text, load) in found.items():
        figures = load.figures()
        assert (figures.refused, figures.failed, figures.wrong_text, figures.recordings) == (0, 0, 0, 1), protocol
        assert load.calls[0].updates
        if protocol != "openai":  # which takes another rate
            assert spelled(text) == spelled(expected) != ""


def spelled(text: str) -> str:
    """Without spaces: endpoints of a protocol divide the words of a model that makes no sense."""
    return text.replace(" ", "")


def resampled(rate: int) -> FloatArray:
    """Speech that 16-bit PCM holds exactly."""
    samples = Resampler(SAMPLE_RATE, rate)(speech_like(1.3, seed=5), last=True)
    exact: FloatArray = (np.rint(samples * 32768.0) / 32768.0).astype(np.float32)
    return exact


def test_addresses() -> None:
    assert address("https://host:1", "/a") == address("wss://host:1/", "/a") == "wss://host:1/a"
    assert address("host/b?c", "/a") == "ws://host/b?c"
    for nonsense in ("ftp://host", "ws://", ""):
        with pytest.raises(UsageError):
            address(nonsense, "/a")


def test_it_needs_neither_an_engine_nor_the_server() -> None:
    others = ["msgspec", "starlette", "uvicorn", "prometheus_client", "python_multipart"]
    run_without([*HEAVY, *ENGINES, *others], "import emf.serve.commands.load")
