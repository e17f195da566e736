"""What a client of each protocol sends for one recording, as bytes, to be cut anywhere."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.frames import Frame, Opcode

from emf.runtime.arrays import FloatArray
from emf.serve.load.client import Message, pcm_s16le
from emf.serve.load.clients import CLIENTS, address

WYOMING = "wyoming"
_PIECE = 1600
_WYOMING_RATE = 16_000


@dataclass(frozen=True, slots=True)
class ClientBytes:
    """One recording on the wire.

    Attributes:
        host: of the server.
        port: of the protocol.
        request: for the upgrade; empty where there is none.
        messages: frames of what begins, of the audio, and of what ends.
        is_end: whether an answer, as bytes from the wire, is the last.
    """

    host: str
    port: int
    request: bytes
    messages: tuple[bytes, ...]
    is_end: Callable[[bytes], bool]


def client_bytes(addresses: Mapping[str, str], samples: FloatArray) -> dict[str, ClientBytes]:
    """For each protocol.

    Args:
        addresses: of the server, as `emf-serve --json` prints them; Wyoming is left out where it has no port.
        samples: mono audio; each protocol takes it for its own rate.
    """
    made = {name: _websocket(name, addresses["address"], samples) for name in CLIENTS}
    if WYOMING in addresses:
        made[WYOMING] = _wyoming(addresses[WYOMING], samples)
    return made


def _websocket(protocol: str, url: str, samples: FloatArray) -> ClientBytes:
    client = CLIENTS[protocol]()
    split = urlsplit(address(url, client.path))
    pieces = [samples[at : at + _PIECE] for at in range(0, len(samples), _PIECE)]
    messages = [*client.begin(), *(client.audio(piece) for piece in pieces), *client.end()]
    request = (
        f"GET {split.path}?{split.query} HTTP/1.1\r\nHost: {split.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    ends = {
        "emf": b'"done"',
        "openai": b"transcription.completed",
        "deepgram": b'"Metadata"',
        "vosk": b'"text"',
        "sherpa": b"Done!",
    }
    end = ends[protocol]
    frames = tuple(_frame(message) for message in messages)
    return ClientBytes(split.hostname or "", split.port or 80, request.encode(), frames, lambda got: end in got)


def _frame(message: Message) -> bytes:
    if isinstance(message, str):
        return Frame(Opcode.TEXT, message.encode()).serialize(mask=True)
    return Frame(Opcode.BINARY, message).serialize(mask=True)


def _wyoming(url: str, samples: FloatArray) -> ClientBytes:
    split = urlsplit(url)
    form = {"rate": _WYOMING_RATE, "width": 2, "channels": 1}
    pieces = [pcm_s16le(samples[at : at + _PIECE]) for at in range(0, len(samples), _PIECE)]
    chunks = [_event("audio-chunk", form, piece) for piece in pieces]
    messages = (_event("audio-start", form), *chunks, _event("audio-stop", {}))
    return ClientBytes(split.hostname or "", split.port or 0, b"", messages, lambda got: b"transcript-stop" in got)


def _event(kind: str, data: Mapping[str, object], payload: bytes = b"") -> bytes:
    head = {"type": kind, "data": data, "payload_length": len(payload)}
    return json.dumps(head).encode() + b"\n" + payload
