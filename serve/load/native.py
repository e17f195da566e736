"""The project's own protocol."""

import json
from collections.abc import Sequence
from typing import ClassVar

from emf.runtime.arrays import FloatArray
from emf.serve.load.client import CallFailed, CallRefused, Heard, Message, joined, pcm_s16le

_REFUSALS = ("overloaded", "over_quota", "restarting")


class NativeClient:
    """See `Client`."""

    path: ClassVar[str] = "/emf/v1/stream"
    sample_rate: ClassVar[int] = 16_000
    scheme: ClassVar[str] = "Bearer"
    lock_step: ClassVar[bool] = False
    ends_by_close: ClassVar[bool] = False

    def __init__(self) -> None:
        self._segments: dict[int, str] = {}

    def begin(self) -> Sequence[Message]:
        """See `Client`."""
        return [json.dumps({"type": "start", "sample_rate": self.sample_rate, "encoding": "pcm_s16le"})]

    def audio(self, samples: FloatArray) -> Message:
        """See `Client`."""
        return pcm_s16le(samples)

    def end(self) -> Sequence[Message]:
        """See `Client`."""
        return ['{"type":"finish"}']

    def hear(self, message: Message) -> Heard | None:
        """See `Client`."""
        answer = json.loads(message)
        match answer["type"]:
            case "result":
                self._segments[answer["segment"]] = answer["stable"] + answer["unstable"]
                return Heard(joined(*self._segments.values()))
            case "done":
                return Heard(answer["text"], is_end=True)
            case "error" if answer["code"] in _REFUSALS:
                raise CallRefused(answer["code"], answer.get("retry_after") or 1.0)
            case "error":
                raise CallFailed(answer["code"], answer["message"])
        return None
