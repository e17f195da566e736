"""Realtime transcription with the `openai` package: the library's text, in the order that clients rely on."""

import asyncio
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI, OpenAI

from emf.runtime.arrays import FloatArray
from tests.serve.live_server import LiveServer
from tests.serve.openai.realtime import COMPLETED, DELTA, KEY, Talk, base64_of, talking
from tests.serve.openai.speech import encoded, recording

COMMITTED = "input_audio_buffer.committed"
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
TURN = [COMMITTED, "conversation.item.added", "conversation.item.done", COMPLETED]
SECOND = b"\0\0" * 24_000


async def spoken(server: LiveServer, data: bytes, pause: float = 0.0, **audio_input: Any) -> Talk:
    async with talking(server) as talk:
        await talk.update(**audio_input)
        await talk.say(data, pause=pause)
        await talk.end()
        return talk


FORMATS: dict[str, tuple[dict[str, Any] | None, int, str]] = {
    "default": (None, 24_000, "PCM_16"),
    "pcm-8000": ({"type": "audio/pcm", "rate": 8_000}, 8_000, "PCM_16"),
    "pcm-16000": ({"type": "audio/pcm", "rate": 16_000}, 16_000, "PCM_16"),
    "pcm-48000": ({"type": "audio/pcm", "rate": 48_000}, 48_000, "PCM_16"),
    "mulaw": ({"type": "audio/pcmu"}, 8_000, "ULAW"),
    "alaw": ({"type": "audio/pcma"}, 8_000, "ALAW"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_text_is_the_librarys(demo_server: LiveServer, name: str) -> None:
    form, rate, subtype = FORMATS[name]
    given: Any = {"format": form} if form else {}
    data, heard = encoded(recording("name", rate), rate, subtype)
    talk = asyncio.run(spoken(demo_server, data, turn_detection=None, **given))
    expected = demo_server.recognizer.transcribe(heard, rate)
    (completed,) = talk.of(COMPLETED)
    assert completed.transcript == expected.text != ""
    assert "".join(event.delta for event in talk.of(DELTA)) == expected.text
    assert [kind for kind in talk.types if kind not in (DELTA, "session.created", "session.updated")] == [
        *TURN,
        "input_audio_buffer.cleared",
    ]
    assert {event.item_id for event in [*talk.of(DELTA), *talk.of(COMMITTED)]} == {completed.item_id}
    assert completed.usage.model_dump() == {"type": "duration", "seconds": pytest.approx(len(heard) / rate, abs=0.01)}
    assert [word["word"] for word in completed.words] == [word.word for word in expected.words]


def words_apart(seconds: float) -> FloatArray:
    """Two sentences with a pause between them."""
    pause = np.zeros(round(seconds * 24_000), np.float32)
    return np.concatenate([recording("date", 24_000), pause, recording("digits", 24_000), pause])


@pytest.mark.parametrize(
    "detection",
    [
        {"type": "server_vad", "threshold": 0.6, "prefix_padding_ms": 300, "silence_duration_ms": 900},
        {"type": "semantic_vad", "eagerness": "high"},
    ],
    ids=lambda detection: str(detection["type"]),
)
def test_turns_end_by_themselves(demo_server: LiveServer, detection: dict[str, Any]) -> None:
    data, heard = encoded(words_apart(3.0), 24_000, "PCM_16")
    talk = asyncio.run(spoken(demo_server, data, pause=0.002, turn_detection=detection))
    assert talk.text == demo_server.recognizer.transcribe(heard, 24_000).text
    items = [event.item_id for event in talk.of(COMMITTED)]
    assert len(items) >= 2
    assert [event.previous_item_id for event in talk.of(COMMITTED)] == [None, *items[:-1]]
    for item in items[:2]:
        turn = [event for event in talk.events if item in (getattr(event, "item_id", ""), item_of(event))]
        kinds = [event.type for event in turn if event.type != DELTA]
        assert kinds == [STARTED, STOPPED, *TURN]
        assert "".join(event.delta for event in turn if event.type == DELTA) == turn[-1].transcript
    begins, ends = (
        [getattr(e, f) for e in talk.of(k)] for k, f in ((STARTED, "audio_start_ms"), (STOPPED, "audio_end_ms"))
    )
    assert all(begin < end for begin, end in zip(begins, ends, strict=True))
    assert all(end <= begin for end, begin in zip(ends, begins[1:], strict=False))
    assert ends[-1] <= 1e3 * len(heard) / 24_000


def item_of(event: Any) -> str:
    return str(event.item.id) if event.type.startswith("conversation.item.added") or event.type.endswith("done") else ""


def test_deltas_come_while_somebody_speaks(demo_server: LiveServer) -> None:
    async def run() -> None:
        async with talking(demo_server) as talk:
            await talk.say(encoded(recording("dictation", 24_000), 24_000, "PCM_16")[0])
            await talk.hear(DELTA)
            assert not talk.of(COMMITTED)
            await talk.end()  # the client closes slowly while messages are unread

    asyncio.run(run())


def test_settings_change_and_stay(demo_server: LiveServer) -> None:
    """As LiveKit does, which also uses a socket again."""

    async def run() -> None:
        async with talking(demo_server, {"intent": "transcription", "model": "gpt-4o-mini-transcribe"}) as talk:
            session = talk.events[0].session
            assert (session.type, session.object) == ("transcription", "realtime.transcription_session")
            assert session.audio.input.format.model_dump() == {"type": "audio/pcm", "rate": 24_000}
            assert session.audio.input.transcription.model == "gpt-4o-mini-transcribe"
            assert session.audio.input.turn_detection.silence_duration_ms == 500
            updated = await talk.update(
                transcription={"model": "whisper-1", "keywords": ["one", "\U0001f600"], "language": "en"},
                noise_reduction={"type": "near_field"},
            )
            heard = updated.session.audio.input
            assert heard.transcription.keywords == ["one", "\U0001f600"]
            assert (heard.noise_reduction.type, heard.turn_detection.type) == ("near_field", "server_vad")
            again = await talk.update(turn_detection=None, transcription={"model": "whisper-1"})
            assert again.session.audio.input.turn_detection is None
            assert again.session.audio.input.noise_reduction.type == "near_field"

    asyncio.run(run())


def test_the_format_may_change_midway(demo_server: LiveServer) -> None:
    async def run() -> Talk:
        async with talking(demo_server) as talk:
            await talk.update(turn_detection=None)
            await talk.say(first)
            await talk.connection.input_audio_buffer.commit()
            await talk.update(format={"type": "audio/pcmu"})
            await talk.say(second)
            await talk.end()
            return talk

    first, heard_first = encoded(recording("date", 24_000), 24_000, "PCM_16")
    second, heard_second = encoded(recording("digits", 8_000), 8_000, "ULAW")
    talk = asyncio.run(run())
    transcribe = demo_server.recognizer.transcribe
    expected = [transcribe(heard_first, 24_000).text, transcribe(heard_second, 8_000).text]
    assert [event.transcript for event in talk.of(COMPLETED)] == expected


def test_what_is_cleared_is_forgotten(demo_server: LiveServer) -> None:
    async def run() -> Talk:
        async with talking(demo_server) as talk:
            await talk.update(turn_detection=None)
            await talk.say(unwanted)
            await talk.connection.input_audio_buffer.clear()
            await talk.hear("input_audio_buffer.cleared")
            await talk.say(data)
            await talk.end()
            return talk

    unwanted, _ = encoded(recording("date", 24_000), 24_000, "PCM_16")
    data, heard = encoded(recording("digits", 24_000), 24_000, "PCM_16")
    talk = asyncio.run(run())
    assert [event.transcript for event in talk.of(COMPLETED)] == [demo_server.recognizer.transcribe(heard, 24_000).text]


def test_a_commit_ends_a_turn_midway(demo_server: LiveServer) -> None:
    """Nobody stopped to speak then, and the turn is one item."""
    data, heard = encoded(recording("digits", 24_000)[:36_000], 24_000, "PCM_16")
    talk = asyncio.run(spoken(demo_server, data))
    assert [kind for kind in talk.types[2:] if kind != DELTA] == [STARTED, *TURN, "input_audio_buffer.cleared"]
    assert talk.text == demo_server.recognizer.transcribe(heard, 24_000).text != ""


def test_every_commit_is_answered(server: LiveServer) -> None:
    """Silence is an item without text; less than a tenth of a second is the one error that openai-agents expects."""

    async def run() -> None:
        async with talking(server) as talk:
            await talk.say(SECOND[:4_000])
            await talk.end()
            (error,) = talk.of("error")
            assert (error.error.code, error.error.event_id) == ("input_audio_buffer_commit_empty", "last")
            await talk.say(SECOND)
            await talk.connection.input_audio_buffer.commit()
            completed = await talk.hear(COMPLETED)
            assert isinstance(completed.transcript, str)

    asyncio.run(run())


def test_logprobs_are_those_of_the_words(demo_server: LiveServer) -> None:
    async def run() -> None:
        async with talking(demo_server) as talk:
            await talk.connection.session.update(
                session={"type": "transcription", "include": ["item.input_audio_transcription.logprobs"]}
            )
            await talk.say(encoded(recording("digits", 24_000), 24_000, "PCM_16")[0])
            await talk.end()
            completed = talk.of(COMPLETED)[0]
            assert [entry.token for entry in completed.logprobs] == completed.transcript.split()
            assert all(
                entry.logprob <= 0.0 and bytes(entry.bytes).decode() == entry.token for entry in completed.logprobs
            )

    asyncio.run(run())


def test_the_synchronous_client(demo_server: LiveServer) -> None:
    data, heard = encoded(recording("digits", 24_000), 24_000, "PCM_16")
    settings: Any = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
    with (
        OpenAI(api_key=KEY, base_url=demo_server.url("/v1", "http")) as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        assert connection.recv().type == "session.created"
        connection.session.update(session=settings)
        connection.input_audio_buffer.append(audio=base64_of(data))
        connection.input_audio_buffer.commit()
        completed: Any = next(event for event in connection if event.type == COMPLETED)
    assert completed.transcript == demo_server.recognizer.transcribe(heard, 24_000).text


def test_the_beta(demo_server: LiveServer) -> None:
    """Its flat session, its names of events; formats as it calls them."""

    async def run() -> Talk:
        client = AsyncOpenAI(
            api_key=KEY, base_url=demo_server.url("/v1", "http"), websocket_base_url=demo_server.url("/v1")
        )
        async with (
            client,
            client.beta.realtime.connect(model="x", extra_query={"intent": "transcription"}) as connection,
        ):
            talk = Talk(connection)  # type: ignore[arg-type]
            created = await talk.hear("transcription_session.created")
            assert created.session["input_audio_format"] == "pcm16"
            await connection.transcription_session.update(
                session={
                    "input_audio_format": "g711_ulaw",
                    "input_audio_transcription": {"model": "whisper-1", "language": "en"},
                    "turn_detection": None,  # type: ignore[typeddict-item]
                }
            )
            updated = await talk.hear("transcription_session.updated")
            assert updated.session.input_audio_format == "g711_ulaw"
            assert updated.session.turn_detection is None
            await talk.say(data)
            await talk.end()
            return talk

    data, heard = encoded(recording("digits", 8_000), 8_000, "ULAW")
    talk = asyncio.run(run())
    assert talk.text == demo_server.recognizer.transcribe(heard, 8_000).text
    kinds = [kind for kind in talk.types[2:] if kind != DELTA]
    assert kinds == [COMMITTED, "conversation.item.created", COMPLETED, "input_audio_buffer.cleared"]
