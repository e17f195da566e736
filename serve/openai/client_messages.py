"""The messages of a realtime client.

Source: `openai.types.realtime.RealtimeClientEvent`.
"""

from typing import TypeAlias

import msgspec
from msgspec import Struct

from emf.serve.openai.session_messages import SessionPatch

MOST_AUDIO_BYTES = 15 * 2**20 * 3 // 4
"""Of one message: 15 MiB in base64."""
_MOST_SHOWN = 60
_NOT_READ = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What msgspec raises; the last one where brackets are nested too deep."""


class SessionUpdate(Struct, frozen=True, tag="session.update"):
    """Change the session."""

    session: SessionPatch
    event_id: str | None = None


class BetaSessionUpdate(Struct, frozen=True, tag="transcription_session.update"):
    """Change the session; the answer has the beta's shape."""

    session: SessionPatch
    event_id: str | None = None


class Append(Struct, frozen=True, tag="input_audio_buffer.append"):
    """Audio. msgspec reads the base64."""

    audio: bytes
    event_id: str | None = None


class Commit(Struct, frozen=True, tag="input_audio_buffer.commit"):
    """The audio so far is an item."""

    event_id: str | None = None


class Clear(Struct, frozen=True, tag="input_audio_buffer.clear"):
    """Forget the audio so far."""

    event_id: str | None = None


ClientMessage: TypeAlias = SessionUpdate | BetaSessionUpdate | Append | Commit | Clear
TYPES = tuple(str(kind.__struct_config__.tag) for kind in (SessionUpdate, BetaSessionUpdate, Append, Commit, Clear))


class _Envelope(Struct, frozen=True):
    type: str
    event_id: str | None = None


class BadMessage(Exception):
    """A message that makes no sense.

    Attributes:
        code: for machines.
        param: the field that is wrong, with a dot between the levels.
        event_id: of the message.
    """

    def __init__(self, code: str, message: str, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.code, self.param, self.event_id = code, param, event_id


_DECODER: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_ENVELOPES = msgspec.json.Decoder(_Envelope)


def decode(received: str | bytes) -> ClientMessage:
    """A client's message.

    Raises:
        BadMessage: it is none.
    """
    if isinstance(received, bytes):
        raise BadMessage("invalid_event", "expected a JSON object as a text message, found a binary one")
    try:
        message = _DECODER.decode(received)
    except _NOT_READ as error:
        raise _bad_message(received, error) from error
    if isinstance(message, Append) and len(message.audio) > MOST_AUDIO_BYTES:
        most = "expected at most 15 MiB of base64 in a message, found more; send shorter pieces"
        raise BadMessage("string_above_max_length", most, "audio", message.event_id)
    return message


def _bad_message(received: str, error: Exception) -> BadMessage:
    try:
        envelope = _ENVELOPES.decode(received)
    except _NOT_READ as fault:
        return BadMessage("invalid_event", f"expected a JSON object with a type, found another message ({fault})")
    if envelope.type not in TYPES:
        supported = ", ".join(f"'{kind}'" for kind in TYPES)
        found = f"{envelope.type!r:.{_MOST_SHOWN}}"
        message = f"Invalid value: {found}. Supported values in a transcription session are: {supported}."
        return BadMessage("invalid_value", message, "type", envelope.event_id)
    problem, _, place = str(error).partition(" - at `$")
    return BadMessage("invalid_value", problem, place.strip(".`") or None, envelope.event_id)
