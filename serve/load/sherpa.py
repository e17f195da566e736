"""sherpa-onnx' protocol for online recognition."""

import json
from collections.abc import Sequence
from typing import ClassVar

from emf.runtime.arrays import FloatArray
from emf.serve.load.client import Heard, Message, joined


class SherpaClient:
    """See `Client`. The server's model must take 16 kHz, since nothing is negotiated."""

    path: ClassVar[str] = "/sherpa"
    sample_rate: ClassVar[int] = 16_000
    scheme: ClassVar[str] = "Bearer"
    lock_step: ClassVar[bool] = False
    ends_by_close: ClassVar[bool] = True

    def __init__(self) -> None:
        self._segments: dict[int, str] = {}

    def begin(self) -> Sequence[Message]:
        """See `Client`."""
        return []

    def audio(self, samples: FloatArray) -> Message:
        """See `Client`."""
        return samples.astype("<f4").tobytes()

    def end(self) -> Sequence[Message]:
        """See `Client`."""
        return ["Done"]

    def hear(self, message: Message) -> Heard | None:
        """See `Client`."""
        if message == "Done!":
            return Heard(joined(*self._segments.values()), is_end=True)
        answer = json.loads(message)
        self._segments[answer["segment"]] = answer["text"]
        return Heard(joined(*self._segments.values()))
