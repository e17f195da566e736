"""Where OpenAI's protocols are served."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from emf.serve.access.credentials import chosen_subprotocol, subprotocols
from emf.serve.access.gate import Refusal
from emf.serve.openai.client_secrets import ClientSecrets
from emf.serve.openai.connection import SUBPROTOCOL, Connection
from emf.serve.openai.errors import error_response, refusal_error
from emf.serve.openai.models import Models
from emf.serve.openai.transcriptions import Transcriptions
from emf.serve.service.service import Service
from emf.serve.sockets.refusing import refuse_websocket


def routes(service: Service) -> Sequence[BaseRoute]:
    """The routes of this protocol."""
    models = Models(service)

    async def realtime(websocket: WebSocket) -> None:
        try:
            with service.gate.admit(websocket) as admission:
                await websocket.accept(chosen_subprotocol(subprotocols(websocket), [SUBPROTOCOL]))
                await Connection(websocket, service).run(admission)
        except Refusal as refusal:
            await refuse_websocket(websocket, error_response(refusal_error(refusal)))

    return [
        WebSocketRoute("/v1/realtime", realtime),
        Route("/v1/realtime/client_secrets", ClientSecrets(service).create, methods=["POST"]),
        Route("/v1/audio/transcriptions", Transcriptions(service)),
        Route("/v1/models", models.list),
        Route("/v1/models/{model:model_name}", models.get),
    ]
