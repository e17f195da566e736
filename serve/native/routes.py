"""Where the project's own protocol is served."""

from collections.abc import Sequence
from contextlib import ExitStack

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from emf.serve.access.credentials import KEY_SUBPROTOCOLS, chosen_subprotocol, subprotocols
from emf.serve.access.gate import Refusal
from emf.serve.native.connection import Connection
from emf.serve.native.conversations import Conversations
from emf.serve.service.service import Service
from emf.serve.sockets.refusing import refusal_response, refuse_websocket

PATH = "/emf/v1/stream"


def routes(service: Service) -> Sequence[BaseRoute]:
    """The routes of this protocol."""
    conversations = Conversations(service)

    async def stream(websocket: WebSocket) -> None:
        with ExitStack() as stack:
            try:
                admission = stack.enter_context(service.gate.admit(websocket))
            except Refusal as refusal:
                await refuse_websocket(websocket, refusal_response(refusal))
                return
            await websocket.accept(chosen_subprotocol(subprotocols(websocket), KEY_SUBPROTOCOLS))
            await Connection(websocket, service, conversations).run(admission, stack)

    return [WebSocketRoute(PATH, stream)]
