"""Where clients of sherpa-onnx are served."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from emf.serve.access.gate import Refusal
from emf.serve.service.service import Service
from emf.serve.sherpa.connection import Connection
from emf.serve.sockets.refusing import refusal_response, refuse_websocket

PATH = "/sherpa"


def routes(service: Service, path: str = PATH) -> Sequence[BaseRoute]:
    """The route of this protocol; its clients can mostly name no path, so it also has a port where `path` is `/`."""

    async def stream(websocket: WebSocket) -> None:
        try:
            with service.gate.admit(websocket) as admission:
                await websocket.accept()
                await Connection(websocket, service).run(admission)
        except Refusal as refusal:
            response = refusal_response(refusal)
            response.headers["Hint"] = refusal.message  # where its own server says why
            await refuse_websocket(websocket, response)

    return [WebSocketRoute(path, stream)]
