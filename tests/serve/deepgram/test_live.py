"""Live speech by Deepgram's client: the text, how it is cut into results, and what the client can ask for."""

import asyncio
import hashlib
import io
import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from websockets.asyncio.client import connect

from emf.runtime.arrays import FloatArray
from emf.serve.session import g711
from tests.serve.deepgram.conftest import recording
from tests.serve.deepgram.talking import RATE, ListenV1Configure, Talk, client, joined, speak, talking
from tests.serve.live_server import LiveServer, live_server

pytestmark = pytest.mark.filterwarnings("ignore:.*websockets.*:DeprecationWarning")
RAW: dict[str, Any] = {"encoding": "linear16", "sample_rate": RATE}
DIGITS, COMMANDS = recording("digits"), recording("commands")


def resampled(rate: int) -> FloatArray:
    return np.asarray(soxr.resample(DIGITS / np.float32(32768), RATE, rate), np.float32)


def encoded(samples: FloatArray, encoding: str) -> tuple[bytes, FloatArray]:
    """Bytes of samples, and what the library hears in them."""
    if encoding == "linear32":
        return samples.astype("<f4").tobytes(), samples
    if encoding == "linear16":
        whole = (samples * 32767).astype("<i2")
        return whole.tobytes(), whole.astype(np.float32) / np.float32(32768)
    table = {"mulaw": g711.MULAW, "alaw": g711.ALAW}[encoding]
    order = np.argsort(table, kind="stable")
    middles = (table[order][1:] + table[order][:-1]) / 2
    codes = order[np.searchsorted(middles, samples)].astype(np.uint8)
    return codes.tobytes(), table[codes]


@pytest.mark.parametrize(
    ("rate", "encoding"),
    [(8_000, "mulaw"), (8_000, "alaw"), (8_000, "linear16"), (24_000, "linear16"), (48_000, "linear32")],
)
def test_the_text_is_the_librarys(demo: LiveServer, rate: int, encoding: str) -> None:
    data, heard = encoded(resampled(rate), encoding)
    talk = asyncio.run(speak(demo, data, step=997, encoding=encoding, sample_rate=rate))
    assert talk.text() == demo.recognizer.transcribe(heard, rate).text != ""
    assert talk.kinds[-1] == "Metadata"
    assert talk.messages[-1].sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("endpointing", [None, "false", 1_000])
def test_finals_tile_the_audio_and_give_its_text(demo: LiveServer, endpointing: str | int | None) -> None:
    talk = asyncio.run(speak(demo, COMMANDS.tobytes(), **RAW, interim_results=True, endpointing=endpointing))
    finals = talk.finals()
    assert finals[0].start == 0.0
    for one, following in itertools.pairwise(finals):
        assert one.start + one.duration == pytest.approx(following.start, abs=1e-6)
    assert finals[-1].start + finals[-1].duration == pytest.approx(len(COMMANDS) / RATE, abs=2e-3)
    assert talk.text() == demo.recognizer.transcribe(COMMANDS, RATE).text
    assert any(final.speech_final for final in finals[:-1]) == (endpointing != "false")
    words = [word for final in finals for word in final.channel.alternatives[0].words]
    assert joined(word.word for word in words) == talk.text()
    for final in finals:
        assert final.metadata.model_info.name == demo.service.pool.facts.name
        for word in final.channel.alternatives[0].words:
            assert final.start - 0.05 <= word.start < word.end <= final.start + final.duration + 0.05
            assert 0.0 < word.confidence <= 1.0
            assert word.punctuated_word == word.word


def test_interim_results_follow_what_is_final(demo: LiveServer) -> None:
    async def run() -> Talk:
        async with talking(demo, **RAW, interim_results=True, endpointing="false") as talk:
            for at in range(0, len(COMMANDS), RATE):  # one after the other: outdated results are left out
                await talk.send(COMMANDS[at : at + RATE].tobytes())
                await asyncio.sleep(0.1)
            await talk.finish()
            return talk

    talk = asyncio.run(run())
    results = [m for m in talk.messages if m.type == "Results"]
    assert any(not m.is_final for m in results)
    assert len(talk.finals()) > 1, "stable words become final within a segment"
    end = 0.0
    for message in results:
        assert message.start == pytest.approx(end, abs=1e-6), "behind all that is final"
        end = message.start + message.duration if message.is_final else end
    without = asyncio.run(speak(demo, COMMANDS.tobytes(), **RAW))
    assert all(m.is_final for m in without.messages if m.type == "Results")
    assert "SpeechStarted" not in without.kinds
    assert "UtteranceEnd" not in without.kinds


def test_utterances_end_where_no_word_follows_for_long(demo: LiveServer) -> None:
    silence = np.zeros(2 * RATE, np.int16)
    audio = np.concatenate([DIGITS, silence, DIGITS, silence]).tobytes()
    talk = asyncio.run(speak(demo, audio, **RAW, interim_results=True, utterance_end_ms=1_500, vad_events=True))
    ends = [m.last_word_end for m in talk.messages if m.type == "UtteranceEnd"]
    words = [word for final in talk.finals() for word in final.channel.alternatives[0].words]
    gaps = [one.end for one, following in itertools.pairwise(words) if following.start - one.end >= 1.5]
    assert len(ends) == 2
    assert ends == [*gaps, words[-1].end]
    assert {tuple(m.channel) for m in talk.messages if m.type in ("UtteranceEnd", "SpeechStarted")} == {(0, 1)}
    begin = next(m for m in talk.messages if m.type == "SpeechStarted")
    assert begin.timestamp == words[0].start
    assert talk.kinds.index("SpeechStarted") < talk.kinds.index("Results")


def test_an_utterance_ends_while_audio_goes_on(demo: LiveServer) -> None:
    async def run() -> Talk:
        async with talking(demo, **RAW, interim_results=True, utterance_end_ms=1_500) as talk:
            await talk.send(DIGITS.tobytes())
            await talk.send(bytes(2 * RATE * 2))
            await talk.hear("UtteranceEnd")
            return talk

    talk = asyncio.run(run())
    assert talk.text() == demo.recognizer.transcribe(DIGITS, RATE).text


def test_finalize_gives_all_words_and_the_stream_goes_on(demo: LiveServer) -> None:
    async def run() -> Talk:
        async with talking(demo, **RAW) as talk:
            await talk.send(DIGITS.tobytes())
            await talk.socket.send_finalize()
            while not (await talk.hear("Results")).from_finalize:
                pass
            assert talk.text() == digits
            await talk.socket.send_finalize()
            empty = await talk.hear("Results")
            assert (empty.from_finalize, empty.is_final, empty.duration) == (True, True, 0.0)
            await talk.socket.send_keep_alive()
            await talk.send(COMMANDS.tobytes())
            await talk.finish()
            return talk

    digits = demo.recognizer.transcribe(DIGITS, RATE).text
    talk = asyncio.run(run())
    assert talk.text() == joined([digits, demo.recognizer.transcribe(COMMANDS, RATE).text])
    assert talk.messages[-1].duration == pytest.approx((len(DIGITS) + len(COMMANDS)) / RATE, abs=2e-3)
    assert [final.from_finalize for final in talk.finals()].count(True) == 2


def test_channels_apart_and_mixed(demo: LiveServer) -> None:
    both = np.zeros((len(COMMANDS), 2), np.int16)
    both[:, 0], both[: len(DIGITS), 1] = COMMANDS, DIGITS
    apart = asyncio.run(speak(demo, both.tobytes(), **RAW, channels=2, multichannel=True))
    texts = [demo.recognizer.transcribe(np.ascontiguousarray(channel), RATE).text for channel in both.T]
    assert [apart.text(0), apart.text(1)] == texts
    assert {tuple(m.channel_index) for m in apart.messages if m.type == "Results"} == {(0, 2), (1, 2)}
    assert apart.messages[-1].channels == 2
    mixed = asyncio.run(speak(demo, both.tobytes(), **RAW, channels=2))
    assert mixed.text() == demo.recognizer.transcribe(both.mean(axis=1).astype(np.float32) / 32768, RATE).text


def test_channels_are_finalized_all_of_them(demo: LiveServer) -> None:
    async def run() -> Talk:
        async with talking(demo, **RAW, channels=2, multichannel=True) as talk:
            await talk.send(np.repeat(DIGITS, 2).tobytes())
            await talk.socket.send_finalize()
            while {tuple(m.channel_index) for m in talk.messages if m.from_finalize} != {(0, 2), (1, 2)}:
                await talk.hear("Results")
            return talk

    talk = asyncio.run(run())
    assert talk.text(0) == talk.text(1) == demo.recognizer.transcribe(DIGITS, RATE).text


def test_keyterms_are_phrases_and_can_be_replaced(demo: LiveServer) -> None:
    async def run() -> tuple[Talk, object]:
        async with talking(demo, **RAW, keyterm=["Stop it", "日本"], keywords=["erase:-3", "q:x"]) as talk:
            await talk.send(DIGITS.tobytes())
            await talk.socket.send_configure(ListenV1Configure(type="Configure", keyterms=["one"]))
            done = await talk.hear("ConfigureSuccess")
            await talk.send(COMMANDS.tobytes())
            await talk.socket.send_configure(
                ListenV1Configure(type="Configure", keyterms=[f"term {n}" for n in range(501)])
            )
            failed = await talk.hear("ConfigureFailure")
            await talk.finish()
            return talk, (done.keyterms, failed.code)

    talk, answers = asyncio.run(run())
    assert answers == (["one"], "CONFIGURE_KEYTERM_LIMIT_EXCEEDED")
    digits = demo.recognizer.transcribe(DIGITS, RATE).text
    assert talk.text().startswith(digits)


def test_keyterms_change_the_text(demo: LiveServer) -> None:
    plain = asyncio.run(speak(demo, DIGITS.tobytes(), **RAW)).text()
    biased = asyncio.run(speak(demo, DIGITS.tobytes(), **RAW, keywords=["stop:5", "nine:-5"])).text()
    assert "nine" in plain.split()
    assert "nine" not in biased.split()


FORMATS = [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("OGG", "OPUS"), ("OGG", "VORBIS"), ("FLAC", "PCM_16")]


@pytest.mark.parametrize(("container", "subtype"), [*FORMATS, ("MP3", "MPEG_LAYER_III")])
def test_containers(demo: LiveServer, container: str, subtype: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, DIGITS, RATE, format=container, subtype=subtype)
    file.seek(0)
    heard, rate = soundfile.read(file, dtype="float32")
    talk = asyncio.run(speak(demo, file.getvalue(), step=777))
    assert talk.text() == demo.recognizer.transcribe(heard, rate).text != ""
    assert talk.messages[-1].duration == pytest.approx(len(heard) / rate, abs=2e-3)


def test_a_container_is_decoded_while_it_comes(demo: LiveServer) -> None:
    file = io.BytesIO()
    soundfile.write(file, DIGITS, RATE, format="OGG", subtype="OPUS")

    async def run() -> None:
        async with talking(demo, interim_results=True) as talk:
            await talk.send(file.getvalue()[: len(file.getvalue()) // 2])
            await talk.hear("Results")

    asyncio.run(run())


def test_a_container_that_comes_at_once_waits_for_room(demo_artifact: Path) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.tile(DIGITS, 4), RATE, format="OGG", subtype="OPUS")
    file.seek(0)
    heard, rate = soundfile.read(file, dtype="float32")
    with live_server(demo_artifact, max_backlog=4.0) as server:
        talk = asyncio.run(speak(server, file.getvalue(), step=1 << 20))
        assert talk.text() == server.recognizer.transcribe(heard, rate).text


def test_a_wav_header_before_raw_audio_is_no_audio(demo: LiveServer) -> None:
    file = io.BytesIO()
    soundfile.write(file, DIGITS, RATE, format="WAV", subtype="PCM_16")
    talk = asyncio.run(speak(demo, file.getvalue(), step=10, **RAW))
    assert talk.text() == demo.recognizer.transcribe(DIGITS, RATE).text


def test_the_client_that_blocks(demo: LiveServer) -> None:
    with client(demo) as deepgram, deepgram.listen.v1.connect(model="nova-3", **RAW) as socket:
        sending = threading.Thread(target=lambda: [socket.send_media(DIGITS.tobytes()), socket.send_close_stream()])
        sending.start()
        messages = list(socket)
        sending.join()
    assert messages[-1].type == "Metadata"
    finals = [m.channel.alternatives[0].transcript for m in messages if m.type == "Results"]
    assert joined(finals) == demo.recognizer.transcribe(DIGITS, RATE).text


def test_at_the_pace_of_speech(demo: LiveServer) -> None:
    async def run() -> Talk:
        async with talking(demo, **RAW, interim_results=True) as talk:
            for at in range(0, len(audio), RATE // 20):
                await talk.socket.send_media(audio[at : at + RATE // 20].tobytes())
                await asyncio.sleep(0.05)
            await talk.finish()
            return talk

    audio = DIGITS[: 3 * RATE]
    talk = asyncio.run(run())
    assert talk.text() == demo.recognizer.transcribe(audio, RATE).text != ""


def test_browsers_send_the_key_as_a_subprotocol_and_an_empty_message_ends(demo: LiveServer) -> None:
    async def run() -> tuple[str | None, bool, int | None]:
        url = demo.url("/v1/listen?encoding=linear16&sample_rate=16000")
        async with connect(url, subprotocols=["token", "key"]) as socket:  # type: ignore[list-item]
            assert socket.response is not None
            await socket.send(DIGITS.tobytes())
            await socket.send(b"")
            heard = [str(message) async for message in socket]
            assert '"type":"Metadata"' in heard[-1]
            return socket.subprotocol, "dg-request-id" in socket.response.headers, socket.protocol.close_code

    assert asyncio.run(run()) == ("token", True, 1000)
