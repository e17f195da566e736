"""JSON nested deeper than a decoder goes is a bad message like others, in every protocol of typed messages."""

from collections.abc import Callable

import msgspec
import pytest

from emf.serve.deepgram import messages as deepgram
from emf.serve.native import messages as native
from emf.serve.vosk import messages as vosk

DEEP = 200_000


@pytest.mark.parametrize("decode", [native.decode, vosk.decode, deepgram.decode], ids=["native", "vosk", "deepgram"])
@pytest.mark.parametrize("text", ['{"unknown":' * DEEP, '{"unknown":' + "[" * DEEP], ids=["objects", "arrays"])
def test_deep(decode: Callable[[str], object], text: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(text)
