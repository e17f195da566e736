"""Where Deepgram's protocols are served."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from emf.runtime.errors import UsageError
from emf.serve.access.credentials import chosen_subprotocol, subprotocols
from emf.serve.access.gate import Refusal
from emf.serve.deepgram import grants, prerecorded
from emf.serve.deepgram.live import Live
from emf.serve.deepgram.parameters import read_parameters
from emf.serve.deepgram.refusals import id_headers, live_close, refusal_of, refuse
from emf.serve.deepgram.request import Request
from emf.serve.service.service import Service
from emf.serve.session.events import FailureCode
from emf.serve.sockets.refusing import refuse_websocket

PATH = "/v1/listen"
_SUBPROTOCOLS = ("token", "bearer")
_OVER_QUOTA = "expected fewer streams with this key; end one, then try again"


def routes(service: Service) -> Sequence[BaseRoute]:
    """The routes of this protocol."""

    async def live(websocket: WebSocket) -> None:
        request = Request(service.pool.facts)
        try:
            account = service.gate.check(websocket)
            parameters = read_parameters(websocket.query_params)
            streams = 1 if parameters.form is None else parameters.form.num_streams
            with service.gate.enter(account, streams) as admission:
                chosen = chosen_subprotocol(subprotocols(websocket), _SUBPROTOCOLS)
                headers = [(name.encode(), value.encode()) for name, value in id_headers(request).items()]
                await websocket.accept(chosen, headers)
                if admission.over_quota:
                    service.counters.failed(FailureCode.OVER_QUOTA)
                    await websocket.close(*live_close(FailureCode.OVER_QUOTA, _OVER_QUOTA))
                    return
                await Live(websocket, service, admission, request, parameters).run()
        except Refusal as refusal:
            await refuse_websocket(websocket, refusal_of(request, refusal))
        except UsageError as error:
            await refuse_websocket(websocket, _bad_request(request, error))

    async def listen(http: HttpRequest) -> Response:
        request = Request(service.pool.facts)
        try:
            account = service.gate.check(http)
            parameters = read_parameters(http.query_params)
            streams = 1 if parameters.form is None else parameters.form.num_streams
            with service.gate.enter(account, streams) as admission:
                if admission.over_quota:
                    return refuse(request, HTTPStatus.TOO_MANY_REQUESTS, _OVER_QUOTA)
                return await prerecorded.transcribe(http, service, admission, request, parameters)
        except Refusal as refusal:
            return refusal_of(request, refusal)
        except UsageError as error:
            return _bad_request(request, error)

    async def grant(http: HttpRequest) -> Response:
        return await grants.grant(http, service)

    return [
        WebSocketRoute(PATH, live),
        Route(PATH, listen, methods=["POST"]),
        Route(grants.PATH, grant, methods=["POST"]),
    ]


def _bad_request(request: Request, error: UsageError) -> Response:
    return refuse(request, HTTPStatus.BAD_REQUEST, f"Bad Request: {error}")
