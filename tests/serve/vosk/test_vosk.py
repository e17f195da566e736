"""Vosk: what the documented client sends and hears."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from emf.runtime import EndpointRules
from emf.runtime.guidance.phrases import DEFAULT_SCORE
from tests.serve.library import segments
from tests.serve.live_server import SECONDS, LiveServer, live_server
from tests.serve.recordings import Samples, recording, silence
from tests.serve.snippets import snippet
from tests.serve.vosk.client import END, Answer, talking, text_of, transcribe
from tests.signals import SAMPLE_RATE, speech_like

SHORT = (speech_like(2.0, seed=5) * 32767).astype(np.int16)


@pytest.mark.parametrize("rate", [8000, 16_000, 24_000, 48_000])
def test_the_text_is_the_librarys(demo_server: LiveServer, rate: int) -> None:
    samples = recording("digits", rate)
    answers = asyncio.run(transcribe(demo_server, samples, rate))
    expected = demo_server.recognizer.transcribe(samples, rate)
    assert answers[-1]["text"] == expected.text != ""
    assert [word["word"] for word in answers[-1]["result"]] == expected.text.split()
    assert [word["start"] for word in answers[-1]["result"]] == pytest.approx([w.start for w in expected.words])
    assert all(answer.keys() == {"partial"} for answer in answers[:-1])
    told = max(answer["partial"] for answer in answers[:-1])
    assert len(expected.text.split()) - len(told.split()) <= 2, "answers are as recent as the audio allows"


def test_an_utterance_that_ends_is_told_at_once(demo_artifact: Path) -> None:
    """In lock-step a result can come only as the answer to a message: here, to one of the silence."""
    pause = silence(3.0, 8000)
    both = [recording("digits", 8000), recording("name", 8000)]
    with live_server(demo_artifact, endpoint=EndpointRules(silence_after_speech=1.6)) as server:
        audio = np.concatenate([both[0], pause, both[1], pause])
        answers = asyncio.run(transcribe(server, audio, 8000))
        expected = segments(server.recognizer, audio, 8000)
    results = [(place * 0.2, answer) for place, answer in enumerate(answers) if answer.get("text")]
    assert len(results) == 2
    assert len(both[0]) / 8000 < results[0][0] < (len(both[0]) + len(pause)) / 8000
    assert [answer["text"] for _, answer in results] == expected
    times = [word["start"] for _, answer in results for word in answer["result"]]
    assert times == sorted(times)
    assert text_of(answers[-1:]) == "", "what was told is not told again"


@pytest.mark.parametrize("name", ["phrase_list", "grammar"])
def test_phrases_are_likelier(demo_server: LiveServer, name: str) -> None:
    """Those that the model cannot write mean nothing, as with Vosk."""
    samples = recording("name", 16_000)
    given = ["n a", "[unk]", "Straße", "", "  "]
    answers = asyncio.run(transcribe(demo_server, samples, 16_000, **{name: given}))
    (expected,) = segments(demo_server.recognizer, samples, 16_000, {"n a": DEFAULT_SCORE})
    assert text_of(answers) == expected != demo_server.recognizer.transcribe(samples, 16_000).text


def test_results_in_other_forms(server: LiveServer) -> None:
    plain = asyncio.run(transcribe(server, SHORT, SAMPLE_RATE, words=0))[-1]
    assert plain.keys() == {"text"}
    (best, *_) = asyncio.run(transcribe(server, SHORT, SAMPLE_RATE, max_alternatives="3"))[-1]["alternatives"]
    assert best["text"] == plain["text"] == server.recognizer.transcribe(SHORT, SAMPLE_RATE).text
    assert isinstance(best["confidence"], float)
    assert best["result"][-1].keys() == {"word", "start", "end", "conf"}


def test_a_reset_gives_a_result_and_goes_on(server: LiveServer) -> None:
    async def run() -> list[Answer]:
        async with talking(server) as talk:
            await talk.configure(sample_rate=SAMPLE_RATE)
            await talk.say(SHORT, SAMPLE_RATE)
            first = await talk.ask('{"reset" : 1}')
            await talk.say(SHORT, SAMPLE_RATE)
            return [first, await talk.end()]

    assert [a["text"] for a in asyncio.run(run())] == 2 * [server.recognizer.transcribe(SHORT, SAMPLE_RATE).text]


def test_who_does_not_wait_gets_as_many_answers(server: LiveServer) -> None:
    async def run() -> list[Answer]:
        async with talking(server) as talk:
            await talk.configure(sample_rate=SAMPLE_RATE)
            for at in range(0, len(SHORT), 160):
                await talk.socket.send(SHORT[at : at + 160].tobytes())
            await talk.socket.send(END)
            return [await talk.hear() for _ in range(len(SHORT) // 160 + 1)]

    answers = asyncio.run(run())
    assert [answer.keys() for answer in answers[:-1]] == [{"partial"}] * (len(answers) - 1)
    assert text_of(answers) == server.recognizer.transcribe(SHORT, SAMPLE_RATE).text


def wav(samples: Samples, rate: int) -> bytes:
    head = b"RIFF" + (36 + 2 * len(samples)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = [(1, 2), (1, 2), (rate, 4), (2 * rate, 4), (2, 2), (16, 2)]
    head += b"".join(value.to_bytes(size, "little") for value, size in form)
    return head + b"data" + (2 * len(samples)).to_bytes(4, "little") + samples.tobytes()


@pytest.mark.parametrize("config", [{}, {"sample_rate": SAMPLE_RATE}])
def test_a_header_is_no_audio(server: LiveServer, config: dict[str, int]) -> None:
    async def run() -> list[Answer]:
        async with talking(server) as talk:
            if config:
                await talk.configure(**config)
            return [
                await talk.ask(wav(SHORT, SAMPLE_RATE)),
                await talk.ask(b""),
                await talk.ask(b"\0"),
                await talk.end(),
            ]

    assert text_of(asyncio.run(run())) == server.recognizer.transcribe(SHORT, SAMPLE_RATE).text


@pytest.mark.parametrize(
    "messages",
    [
        ["nonsense"],
        ["[1]"],
        ["{}"],
        ['{"config":1}'],
        ['{"config":{"sample_rate":"fast"}}'],
        ['{"config":{"sample_rate":"nan"}}'],
        ['{"config":{"sample_rate":7}}'],
        ['{"config":{"phrase_list":"one"}}'],
        ['{"config":{"phrase_list":[1]}}'],
        ['{"config":{"sample_rate":8000}}', wav(SHORT, 16_000)],
        [wav(SHORT, 3)],
        [b"\0\0" * 800, "audio"],
        [b"\0\0" * 800, '{"end":1}'],
        ["\ud7ff" * 100_000],
    ],
    ids=str,
)
def test_what_makes_no_sense_ends_the_connection_alone(server: LiveServer, messages: list[str | bytes]) -> None:
    """The protocol has no errors: the close frame says what is wrong."""

    async def run() -> tuple[int | None, str | None, str]:
        async with talking(server) as healthy, talking(server) as talk:
            await healthy.configure(sample_rate=SAMPLE_RATE)
            await healthy.ask(SHORT.tobytes())
            for message in messages:
                await talk.socket.send(message)
            async with asyncio.timeout(SECONDS):
                await talk.socket.wait_closed()
            return talk.socket.protocol.close_code, talk.socket.protocol.close_reason, text_of([await healthy.end()])

    code, reason, text = asyncio.run(run())
    assert (code, (reason or "")[:8]) == (1008, "expected")
    assert text == server.recognizer.transcribe(SHORT, SAMPLE_RATE).text
    assert "vosk" not in server.service.sessions.values()


def test_a_telephone_that_rings_holds_no_place(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> str:
        async with talking(server) as talk:
            async with asyncio.timeout(SECONDS):
                while server.service.gate.places.taken:
                    await asyncio.sleep(0.02)
            await talk.configure(sample_rate=SAMPLE_RATE)
            await talk.say(SHORT, SAMPLE_RATE)
            return text_of([await talk.end()])

    monkeypatch.setattr(server.service, "limits", type(server.service.limits)(start_timeout=0.2))
    assert asyncio.run(run()) == server.recognizer.transcribe(SHORT, SAMPLE_RATE).text


@pytest.mark.usefixtures("winding_up")
def test_the_end_of_the_server_tells_what_was_said(tiny_artifact: Path) -> None:
    async def run(server: LiveServer) -> tuple[str, int | None]:
        async with talking(server) as talk:
            await talk.configure(sample_rate=SAMPLE_RATE)
            await talk.say(SHORT, SAMPLE_RATE)
            server.stop()
            text = text_of([await talk.hear()])
            await talk.socket.wait_closed()
            return text, talk.socket.protocol.close_code

    with live_server(tiny_artifact, drain=SECONDS) as server:
        assert asyncio.run(run(server)) == (server.recognizer.transcribe(SHORT, SAMPLE_RATE).text, 1012)


def test_the_page_connects(demo_server: LiveServer, capsys: pytest.CaptureFixture[str]) -> None:
    source = snippet("vosk.md").replace(":2700", f":{demo_server.ports['vosk']}")
    exec(compile(source, "vosk.md", "exec"), {})
    assert capsys.readouterr().out.strip() == demo_server.recognizer.transcribe(recording("date", 16_000), 16_000).text
