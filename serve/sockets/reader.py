"""Messages of a WebSocket, read without pause.

The server answers pings only while the application reads: whoever handles messages must not wait for decoding.
"""

from collections.abc import AsyncIterator

from starlette.websockets import WebSocket

from emf.serve.sockets.closing import CloseCode

_LOST = 1006


class SocketReader:
    """Reads a WebSocket to its end.

    Attributes:
        close_code: what the client closed it with; 1006 where it vanished; `None` while it is open.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.close_code: int | None = None

    @property
    def ended_cleanly(self) -> bool:
        """Whether the client closed the connection on purpose."""
        return self.close_code in (CloseCode.DONE, CloseCode.GOING_AWAY)

    async def next(self) -> str | bytes | None:
        """The next message; `None` at the end."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self.close_code = message.get("code") or _LOST
            return None
        text: str | None = message.get("text")
        if text is not None:
            return text
        data: bytes = message.get("bytes") or b""
        return data

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while (message := await self.next()) is not None:
            yield message
