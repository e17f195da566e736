"""Deepgram's protocol for live audio, with interim results."""

import json
from collections.abc import Sequence
from typing import ClassVar

from emf.runtime.arrays import FloatArray
from emf.serve.load.client import CallFailed, Heard, Message, joined, pcm_s16le


class DeepgramClient:
    """See `Client`."""

    path: ClassVar[str] = "/v1/listen?encoding=linear16&sample_rate=16000&channels=1&interim_results=true"
    sample_rate: ClassVar[int] = 16_000
    scheme: ClassVar[str] = "Token"
    lock_step: ClassVar[bool] = False
    ends_by_close: ClassVar[bool] = False

    def __init__(self) -> None:
        self._finals: list[str] = []

    def begin(self) -> Sequence[Message]:
        """See `Client`."""
        return []

    def audio(self, samples: FloatArray) -> Message:
        """See `Client`."""
        return pcm_s16le(samples)

    def end(self) -> Sequence[Message]:
        """See `Client`."""
        return ['{"type":"CloseStream"}']

    def hear(self, message: Message) -> Heard | None:
        """See `Client`."""
        answer = json.loads(message)
        match answer["type"]:
            case "Results":
                text = answer["channel"]["alternatives"][0]["transcript"]
                if not answer["is_final"]:
                    return Heard(joined(*self._finals, text))
                self._finals.append(text)
                return Heard(joined(*self._finals))
            case "Metadata":
                return Heard(joined(*self._finals), is_end=True)
            case "Error":
                raise CallFailed(str(answer.get("variant") or "error"), str(answer.get("description")))
        return None
