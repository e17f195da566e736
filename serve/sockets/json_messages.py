"""Messages of clients that are JSON."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode_json(decoder: msgspec.json.Decoder[T], text: str | bytes) -> T:
    """The message that a text holds.

    Raises:
        msgspec.MsgspecError: it is none; also where it is nested too deep for the decoder, or holds half a character.
    """
    try:
        return decoder.decode(text)
    except (RecursionError, UnicodeError) as error:
        raise msgspec.DecodeError("JSON is nested too deep, or its text is not Unicode") from error
