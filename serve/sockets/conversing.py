"""Reading and answering at once, on one WebSocket."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from emf.serve.session.events import Failed
from emf.serve.sockets.closing import CloseCode, close_code, reason


async def converse(
    websocket: WebSocket,
    reading: Coroutine[None, None, None],
    answering: Coroutine[None, None, Failed | None],
    goodbye_seconds: float = 0.0,
) -> None:
    """Read and answer until all is answered or the client is gone, then close the connection.

    Args:
        websocket: accepted.
        reading: ends when the client has closed the connection.
        answering: sends everything, then returns the failure that the connection ends with, if there is one.
        goodbye_seconds: for the client to close a connection that ends well.
    """
    reader, sender = asyncio.create_task(reading), asyncio.create_task(_unless_gone(answering))
    try:
        await asyncio.wait([reader, sender], return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            failure = sender.result()
            if failure is None and goodbye_seconds:
                await asyncio.wait([reader], timeout=goodbye_seconds)
            if not reader.done():
                await close_websocket(websocket, failure)
    finally:
        for task in (reader, sender):
            task.cancel()
        await asyncio.wait([reader, sender])
    for task in (reader, sender):
        if not task.cancelled():
            task.result()


async def close_websocket(websocket: WebSocket, failure: Failed | None = None) -> None:
    """Close a connection, with the code of a failure if there is one."""
    with suppress(WebSocketDisconnect, RuntimeError):  # the client was faster
        if failure is None:
            await websocket.close(CloseCode.DONE)
        else:
            await websocket.close(close_code(failure.code), reason(failure.message))


async def _unless_gone(answering: Coroutine[None, None, Failed | None]) -> Failed | None:
    try:
        return await answering
    except WebSocketDisconnect:
        return None
