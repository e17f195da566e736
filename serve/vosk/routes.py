"""Where clients of vosk-server are served."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from emf.serve.access.gate import Refusal
from emf.serve.service.service import Service
from emf.serve.sockets.refusing import refusal_response, refuse_websocket
from emf.serve.vosk.connection import Connection

PATH = "/vosk"


def routes(service: Service, path: str = PATH) -> Sequence[BaseRoute]:
    """The route of this protocol; its clients can mostly name no path, so it also has a port where `path` is `/`."""

    async def stream(websocket: WebSocket) -> None:
        try:
            with service.gate.admit(websocket) as admission:
                await websocket.accept()
                await Connection(websocket, service).run(admission)
        except Refusal as refusal:
            await refuse_websocket(websocket, refusal_response(refusal))

    return [WebSocketRoute(path, stream)]
