"""A refusal as an answer of HTTP: of a request, or of a WebSocket before its upgrade."""

from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from emf.serve.access.gate import Refusal


def refusal_response(refusal: Refusal) -> Response:
    """The answer in this project's own form; a protocol with a form of its own makes its own."""
    body = {"error": {"code": refusal.code, "message": refusal.message, "retry_after": refusal.retry_after}}
    return JSONResponse(body, int(refusal.status), dict(refusal.headers))


async def refuse_websocket(websocket: WebSocket, response: Response) -> None:
    """Answer the request for an upgrade: `websocket.close` would always give status 403."""
    await websocket.send_denial_response(response)
