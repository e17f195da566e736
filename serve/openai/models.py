"""`GET /v1/models`: the artifact that is served.

Source: `openai.types.Model`.
"""

import time
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from msgspec import Struct
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from emf.serve.access.gate import Refusal
from emf.serve.openai.errors import RequestError, error_response, refusal_error
from emf.serve.service.service import Service

_OWNER = "emformer-deploy"


class NameConvertor(PathConvertor):
    """Any name of a model, also one with slashes and line breaks: the answer is then one of ours."""

    regex = r"[\s\S]*"


register_url_convertor("model_name", NameConvertor())


class Model(Struct, frozen=True):
    """A model; `created` in seconds of the epoch."""

    id: str
    created: int
    object: str = "model"
    owned_by: str = _OWNER


class ModelList(Struct, frozen=True):
    """All models."""

    data: tuple[Model, ...]
    object: str = "list"


class Models:
    """The two endpoints."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._model = Model(service.pool.facts.name, int(time.time()))

    async def list(self, request: Request) -> Response:
        """`GET /v1/models`."""
        return self._answer(request, lambda: ModelList((self._model,)))

    async def get(self, request: Request) -> Response:
        """`GET /v1/models/{model}`."""
        return self._answer(request, lambda: self._found(request.path_params["model"]))

    def _answer(self, request: Request, document: Callable[[], Model | ModelList]) -> Response:
        try:
            self._service.gate.check(request)
            return Response(msgspec.json.encode(document()), media_type="application/json")
        except Refusal as refusal:
            return error_response(refusal_error(refusal))
        except RequestError as error:
            return error_response(error)

    def _found(self, name: str) -> Model:
        if name != self._model.id:
            text = f"The model {name!r:.100} does not exist; this server has {self._model.id!r}"
            raise RequestError(text, "model", "model_not_found", HTTPStatus.NOT_FOUND)
        return self._model
