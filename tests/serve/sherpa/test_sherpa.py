"""sherpa-onnx: what its example client sends and hears."""

import asyncio
import sys
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emf.runtime import EndpointRules
from tests.serve.library import segments
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.recordings import recording, silence
from tests.serve.sherpa.client import Result, receive, to_bytes, transcribe
from tests.serve.snippets import snippet
from tests.signals import SAMPLE_RATE, speech_like

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))
from agent_clients import AGENTS, SHERPA
from client_speech import speech_of
from real_clients import Server

SHORT = (speech_like(2.0, seed=5) * 32767).astype(np.int16)
BYTES = to_bytes(SHORT)


def pieces(data: bytes, samples: int) -> list[bytes]:
    return [data[at : at + 4 * samples] for at in range(0, len(data), 4 * samples)]


@pytest.mark.parametrize("samples_per_message", [160, 8000, 1_000_000])
def test_the_text_is_the_librarys(demo_server: LiveServer, samples_per_message: int) -> None:
    samples = recording("digits")
    url = f"ws://127.0.0.1:{demo_server.ports['sherpa']}"
    results = asyncio.run(transcribe(demo_server, pieces(to_bytes(samples), samples_per_message), url))
    expected = demo_server.recognizer.transcribe(samples, SAMPLE_RATE)
    last = results[-1]
    assert last["text"] == "".join(last["tokens"]).strip() == expected.text != ""
    assert last["timestamps"] == pytest.approx(expected.timestamps, abs=0.006)
    assert last["ys_probs"] == pytest.approx(expected.log_probs, abs=1e-4)
    assert (last["segment"], last["is_final"], last["is_eof"], last["start_time"]) == (0, True, True, 0)
    assert not any(result["is_final"] or result["is_eof"] for result in results[:-1])


def test_segments_are_numbered_by_those_that_said_something(demo_artifact: Path) -> None:
    """Its page writes `texts[segment] = text`, so that no number may be left out."""
    pause = silence(5.0)
    audio = np.concatenate([pause, recording("digits"), pause, recording("name"), pause])
    with live_server(demo_artifact, endpoint=EndpointRules(silence_after_speech=1.6)) as server:
        results = asyncio.run(transcribe(server, pieces(to_bytes(audio), 8000)))
        expected = segments(server.recognizer, audio, SAMPLE_RATE)
    texts: dict[int, str] = {}
    for result in results:
        texts[result["segment"]] = result["text"] or texts.get(result["segment"], "")
    assert [text for text in texts.values() if text] == expected
    assert len(expected) == 2
    assert list(texts) == list(range(len(texts)))
    finals = [result for result in results if result["is_final"] and result["text"]]
    assert [result["segment"] for result in finals] == [0, 1]
    assert len(pause) / SAMPLE_RATE < finals[0]["start_time"] + finals[0]["timestamps"][0] < finals[1]["start_time"]
    assert [result["is_eof"] for result in results[-2:]] == [False, True]


@pytest.mark.parametrize("messages", [[], [b""], [b"\0" * 12], ["done", "{}", "\ud7ff"]], ids=str)
def test_there_is_always_a_result_before_the_end(server: LiveServer, messages: list[bytes | str]) -> None:
    """The example reads the last message before `Done!` as JSON."""
    results = asyncio.run(transcribe(server, messages))
    assert [(r["text"], r["segment"], r["is_final"], r["is_eof"]) for r in results] == [("", 0, True, True)]


def test_what_is_no_audio_is_left_out(server: LiveServer) -> None:
    messages: list[bytes | str] = [BYTES[:40_001], "text", BYTES[40_000:], b"", "Done ", BYTES]
    (result,) = [r for r in asyncio.run(transcribe(server, messages)) if r["is_final"]]
    assert result["text"] == server.recognizer.transcribe(SHORT, SAMPLE_RATE).text != ""


NO_AUDIO = {
    "NaN": np.full(1000, np.nan, "<f4").tobytes(),
    "infinite": np.tile(np.array([np.inf, -np.inf], "<f4"), 500).tobytes(),
    "too loud": np.full(1000, 3e4, "<f4").tobytes(),
    "16-bit": bytes.fromhex("0180ff7f") * 500 + bytes.fromhex("0180a0ff") * 500,
}


@pytest.mark.parametrize("case", NO_AUDIO)
def test_floats_that_are_no_audio_end_the_connection_alone(server: LiveServer, case: str) -> None:
    async def run() -> tuple[int | None, list[Result]]:
        async with connect(server.url("/sherpa")) as talk:
            healthy = asyncio.create_task(transcribe(server, pieces(BYTES, 1600)))
            await talk.send(NO_AUDIO[case])
            await receive(talk)
            return talk.protocol.close_code, await healthy

    code, results = asyncio.run(run())
    assert code == 1008
    assert results[-1]["text"] == server.recognizer.transcribe(SHORT, SAMPLE_RATE).text
    assert "sherpa" not in server.service.sessions.values()


def test_a_page_that_leaves_at_once_holds_nothing(server: LiveServer) -> None:
    """Its page closes the connection right behind `Done`."""

    async def run() -> None:
        async with connect(server.url("/sherpa")) as socket:
            await socket.send(BYTES)
            await socket.send("Done")
        async with asyncio.timeout(SECONDS):
            while "sherpa" in server.service.sessions.values() or server.engine.metrics().streams:
                await asyncio.sleep(0.01)

    asyncio.run(run())


def test_a_server_that_is_full_says_so(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> tuple[int, bool, bool]:
        async with connect(server.url("/sherpa")):
            with pytest.raises(InvalidStatus) as refused:
                await transcribe(server, [BYTES])
        response = refused.value.response
        return response.status_code, "Hint" in response.headers, "Retry-After" in response.headers

    with live_server(tiny_artifact, max_streams=1) as server:
        assert asyncio.run(run(server)) == (503, True, True)


def test_the_end_of_the_server_comes_behind_the_text(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> list[Result]:
        async with connect(server.url("/sherpa")) as socket:
            await socket.send(BYTES)
            await socket.recv()
            server.stop()
            async with asyncio.timeout(SECONDS):
                while not server.service.gate.draining:
                    await asyncio.sleep(0.01)
            await socket.send("Done")
            return await receive(socket)

    with live_server(tiny_artifact, drain=SECONDS) as server:
        last = asyncio.run(run(server))[-1]
        expected = server.recognizer.transcribe(SHORT, SAMPLE_RATE).text
    assert (last["text"], last["is_final"], last["is_eof"]) == (expected, True, True)


@pytest.mark.usefixtures("winding_up")
def test_who_does_not_end_with_the_server_is_ended_behind_the_text(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> tuple[list[Result], int | None]:
        async with connect(server.url("/sherpa")) as socket:
            await socket.send(BYTES)
            await socket.recv()
            server.stop()
            return await receive(socket), socket.protocol.close_code

    with live_server(tiny_artifact, drain=SECONDS) as server:
        results, code = asyncio.run(run(server))
        expected = server.recognizer.transcribe(SHORT, SAMPLE_RATE).text
    assert (results[-1]["text"], results[-1]["is_final"], results[-1]["is_eof"]) == (expected, True, False)
    assert code == 1012


def test_the_page_connects(demo_server: LiveServer, capsys: pytest.CaptureFixture[str]) -> None:
    source = snippet("sherpa-onnx.md").replace(":6006", f":{demo_server.ports['sherpa']}")
    exec(compile(source, "sherpa-onnx.md", "exec"), {})
    assert capsys.readouterr().out.strip() == demo_server.recognizer.transcribe(recording("date"), SAMPLE_RATE).text


@pytest.mark.skipif(which(SHERPA) is None, reason="sherpa-onnx-bin is not installed: the extra `clients`")
def test_its_client_in_cpp(demo_server: LiveServer) -> None:
    samples = recording("date").astype(np.float32) / np.float32(32768)
    speech = speech_of(samples, SAMPLE_RATE, AGENTS["sherpa-binary"].forms[0])
    text = asyncio.run(AGENTS["sherpa-binary"].transcribe(Server(0, 0, demo_server.ports["sherpa"], 0), speech))
    assert text == demo_server.recognizer.transcribe(recording("date"), SAMPLE_RATE).text != ""
