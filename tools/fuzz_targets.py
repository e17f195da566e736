"""What reads the bytes of strangers, as functions that raise nothing unless there is a fault."""

import asyncio
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec
import numpy as np
from starlette.datastructures import QueryParams

from emf.runtime.errors import AudioError, EmfError, UsageError
from emf.serve.containers.sound_upload import mono_blocks
from emf.serve.containers.wav_header import is_wav, read_wav_header
from emf.serve.deepgram import messages as deepgram
from emf.serve.deepgram.parameters import read_parameters
from emf.serve.native import messages as native
from emf.serve.native.connection import _settings as native_settings
from emf.serve.openai import client_messages as openai
from emf.serve.openai import client_secrets
from emf.serve.openai.client_messages import BadMessage
from emf.serve.openai.errors import RequestError
from emf.serve.openai.session_config import SessionConfig
from emf.serve.openai.session_messages import audio_format
from emf.serve.session.audio_decoder import AudioDecoder
from emf.serve.session.audio_format import AudioFormat, Encoding
from emf.serve.vosk import messages as vosk
from emf.serve.vosk.connection import _settings as vosk_settings
from emf.serve.vosk.wav_header import without_wav_header
from emf.serve.wyoming.framing import FramingError, read_event
from emf.serve.wyoming.messages import message_of

_MOST_SECONDS_OF_SOUND = 600


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of bytes.

    Attributes:
        read: raises only what is a fault.
        seeds: bytes that make sense.
    """

    read: Callable[[bytes], None]
    seeds: Sequence[bytes]


def _native(data: bytes) -> None:
    with suppress(msgspec.MsgspecError, EmfError):
        message = native.decode(_text(data))
        if isinstance(message, native.Start):
            native_settings(message)


def _openai(data: bytes) -> None:
    with suppress(BadMessage):
        match openai.decode(_text(data)):
            case openai.SessionUpdate(patch) | openai.BetaSessionUpdate(patch):
                config = SessionConfig("sess_1", 0).updated(patch)
                audio_format(config.form), config.wishes, config.prefix_seconds
                msgspec.json.encode([config.as_session(), config.as_beta_session()])


def _secrets(data: bytes) -> None:
    with suppress(RequestError):
        client_secrets._decode(data)


def _deepgram(data: bytes) -> None:
    with suppress(msgspec.MsgspecError):
        deepgram.decode(_text(data))


def _query(data: bytes) -> None:
    with suppress(UsageError):
        parameters = read_parameters(QueryParams(parse_qsl(data.decode("latin-1"), keep_blank_values=True)))
        assert parameters.live_wishes.endpoint is not None


def _vosk(data: bytes) -> None:
    with suppress(msgspec.MsgspecError, EmfError):
        request = vosk.decode(_text(data))
        assert request.ends_audio in (True, False)
        assert request.ends_utterance in (True, False)
        if request.config is not None:
            vosk_settings(request.config)


def _wyoming(data: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        while (event := await read_event(reader)) is not None:
            message_of(event)

    with suppress(FramingError):
        _LOOP.run_until_complete(read())


def _headers(data: bytes) -> None:
    with suppress(AudioError):
        without_wav_header(data)
    with suppress(AudioError):
        if len(data) >= 12 and is_wav(data):
            read_wav_header(data)


def _samples(data: bytes) -> None:
    if len(data) < 2:
        return
    encoding = list(Encoding)[data[0] % len(Encoding)]
    form = AudioFormat(encoding, 8_000, data[1] % 16 + 1)
    whole, decoder = AudioDecoder(form).decode(data[2:]), AudioDecoder(form)
    parts = [decoder.decode(data[at : at + 3]) for at in range(2, len(data), 3)]
    np.testing.assert_array_equal(np.concatenate([*parts, whole[:0]]), whole)


def _sound(data: bytes) -> None:
    seconds = 0.0
    with suppress(AudioError):
        for rate, block in mono_blocks(io.BytesIO(data), Path("audio")):
            seconds += len(block) / rate
            if seconds > _MOST_SECONDS_OF_SOUND:
                break


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass" if b"\xed" in data else "replace") if _is_text(data) else ""


def _is_text(data: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        data.decode("utf-8", "surrogatepass")
        return True
    return False


def _sound_seeds() -> list[bytes]:
    import soundfile

    samples, made = np.sin(np.arange(800) / 5).astype(np.float32), []
    for form, subtype in (("WAV", "PCM_16"), ("WAV", "ULAW"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)):
        file = io.BytesIO()
        soundfile.write(file, samples, 16_000, format=form, subtype=subtype)
        made.append(file.getvalue())
    starts = (b"\0\0\0\x20ftypM4A ", b"\x1aE\xdf\xa3", b"\xff\xf1")
    return made + [start + bytes(200) for start in starts]


_LOOP = asyncio.new_event_loop()
_SESSION = (
    b'{"type":"session.update","event_id":"e","session":{"type":"transcription","include":["x"],"audio":{"input":'
    b'{"format":{"type":"audio/pcm","rate":24000},"transcription":{"model":"m","keywords":["a"],"languages":["en"],'
    b'"prompt":"p"},"noise_reduction":{"type":"near_field"},"turn_detection":{"type":"server_vad","threshold":0.5,'
    b'"prefix_padding_ms":300,"silence_duration_ms":500}}}}}'
)
_BETA = (
    b'{"type":"transcription_session.update","session":{"input_audio_format":"g711_ulaw","turn_detection":null,'
    b'"input_audio_transcription":{"model":"m"}}}'
)
_START = (
    b'{"type":"start","sample_rate":16000,"encoding":"mulaw","channels":2,"separate":true,"phrases":{"a":1.0},'
    b'"endpoints":{"max_length":5},"resume":"x","have":1}'
)
TARGETS: dict[str, Target] = {
    "emf": Target(_native, [_START, b'{"type":"mark","id":[1]}', b'{"type":"finish"}']),
    "openai": Target(_openai, [_SESSION, _BETA, b'{"type":"input_audio_buffer.append","audio":"AAAA"}']),
    "client secrets": Target(_secrets, [b'{"expires_after":{"seconds":60},"session":{"type":"transcription"}}']),
    "deepgram": Target(_deepgram, [b'{"type":"Configure","keyterms":["a"]}', b'{"type":"CloseStream"}']),
    "deepgram query": Target(
        _query,
        [
            b"encoding=linear16&sample_rate=16000&channels=2&multichannel=true&endpointing=300&utterance_end_ms=1000",
            b"keywords=a:2&keyterm=b+c&utt_split=0.8&interim_results=true",
        ],
    ),
    "vosk": Target(_vosk, [b'{"config":{"sample_rate":"8000","phrase_list":["a","[unk]"],"words":1}}', b'{"eof" : 1}']),
    "wyoming": Target(
        _wyoming,
        [
            b'{"type":"audio-chunk","data_length":37,"payload_length":2}\n{"rate":16000,"width":2,"channels":1}\n\0\0',
            b'{"type":"transcribe","data":{"transcript_names":["a"]}}\n{"type":"ping","data":{"text":"x"}}\n',
        ],
    ),
    "wav header": Target(_headers, _sound_seeds()[:2]),
    "samples": Target(_samples, [b"\0\0" + bytes(range(64)), b"\3\1" + bytes(range(64))]),
    "sound files": Target(_sound, _sound_seeds()),
}
"""By name."""
