"""Vosk's protocol, as its sample clients speak it: each message waits for the answer to the one before."""

import json
from collections.abc import Sequence
from typing import ClassVar

from emf.runtime.arrays import FloatArray
from emf.serve.load.client import Heard, Message, joined, pcm_s16le


class VoskClient:
    """See `Client`."""

    path: ClassVar[str] = "/vosk"
    sample_rate: ClassVar[int] = 16_000
    scheme: ClassVar[str] = "Bearer"
    lock_step: ClassVar[bool] = True
    ends_by_close: ClassVar[bool] = False

    def __init__(self) -> None:
        self._finals: list[str] = []
        self._ended = False

    def begin(self) -> Sequence[Message]:
        """See `Client`."""
        return [json.dumps({"config": {"sample_rate": self.sample_rate}})]

    def audio(self, samples: FloatArray) -> Message:
        """See `Client`."""
        return pcm_s16le(samples)

    def end(self) -> Sequence[Message]:
        """See `Client`."""
        self._ended = True
        return ['{"eof" : 1}']

    def hear(self, message: Message) -> Heard | None:
        """See `Client`."""
        answer = json.loads(message)
        if "text" in answer:
            self._finals.append(answer["text"])
            return Heard(joined(*self._finals), is_end=self._ended)
        return Heard(joined(*self._finals, answer["partial"]))
