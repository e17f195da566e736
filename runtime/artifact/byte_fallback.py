"""Vocabularies with byte fallback: a character without a piece of its own is written as the bytes of its UTF-8.

In a spelling a byte stands as `surrogateescape` (PEP 383) writes it, so that spellings stay strings of one character
a step, with which phrases and words can be compared.

Source: the option `byte_fallback` of SentencePiece, whose byte pieces are `<0x00>` to `<0xFF>`.
"""

import codecs
import re

_BYTE_PIECE = re.compile("<0x([0-9A-F]{2})>")


def is_byte_piece(piece: str) -> bool:
    """Whether a piece stands for one byte."""
    return _BYTE_PIECE.fullmatch(piece) is not None


def spell_piece(piece: str) -> str:
    """The characters of a piece, or its byte."""
    match = _BYTE_PIECE.fullmatch(piece)
    return bytes([int(match[1], 16)]).decode("utf-8", "surrogateescape") if match else piece


def spell_as_bytes(character: str) -> str:
    """A character as its bytes stand in a spelling."""
    return character.encode("utf-8").decode("ascii", "surrogateescape")


def read_spelling(spelled: str) -> str:
    """A spelling as text.

    Bytes that are no UTF-8 become U+FFFD. Those of a character that lacks its end are left out, so that the reading
    of a beginning is the beginning of the reading.
    """
    if spelled.isascii():
        return spelled
    return codecs.utf_8_decode(spelled.encode("utf-8", "surrogateescape"), "replace", False)[0]
