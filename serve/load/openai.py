"""OpenAI's Realtime protocol for transcription, one turn that the client commits itself."""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, ClassVar

from emf.runtime.arrays import FloatArray
from emf.serve.load.client import CallFailed, Heard, Message, joined, pcm_s16le

_TRANSCRIPTION = "conversation.item.input_audio_transcription."


class OpenAIClient:
    """See `Client`."""

    path: ClassVar[str] = "/v1/realtime?intent=transcription"
    sample_rate: ClassVar[int] = 24_000
    scheme: ClassVar[str] = "Bearer"
    lock_step: ClassVar[bool] = False
    ends_by_close: ClassVar[bool] = False

    def __init__(self) -> None:
        self._items: dict[str, str] = {}
        self._open: set[str] = set()
        self._committed = False

    def begin(self) -> Sequence[Message]:
        """See `Client`."""
        audio = {
            "format": {"type": "audio/pcm", "rate": self.sample_rate},
            "transcription": {"model": "default"},
            "turn_detection": None,
        }
        session = {"type": "transcription", "audio": {"input": audio}}
        return [json.dumps({"type": "session.update", "session": session})]

    def audio(self, samples: FloatArray) -> Message:
        """See `Client`."""
        data = b64encode(pcm_s16le(samples)).decode("ascii")
        return json.dumps({"type": "input_audio_buffer.append", "audio": data})

    def end(self) -> Sequence[Message]:
        """See `Client`."""
        return ['{"type":"input_audio_buffer.commit"}']

    def hear(self, message: Message) -> Heard | None:
        """See `Client`. The end is the transcript of the item that was committed."""
        answer = json.loads(message)
        match answer["type"].removeprefix(_TRANSCRIPTION):
            case "input_audio_buffer.committed":
                self._open.add(answer["item_id"])
                self._committed = True
            case "delta":
                item = answer["item_id"]
                self._items[item] = self._items.get(item, "") + (answer.get("delta") or "")
                return Heard(self._text())
            case "completed":
                self._items[answer["item_id"]] = answer["transcript"]
                self._open.discard(answer["item_id"])
                return Heard(self._text(), is_end=self._committed and not self._open)
            case "failed" | "error":
                raise _failure(answer.get("error") or {})
        return None

    def _text(self) -> str:
        return joined(*self._items.values())


def _failure(error: dict[str, Any]) -> CallFailed:
    return CallFailed(str(error.get("code") or error.get("type") or "error"), str(error.get("message")))
