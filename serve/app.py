"""The application: the routes of the protocols that are wanted, and of operations."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from emf.serve.captions import routes as captions
from emf.serve.operations import health, metrics, openapi
from emf.serve.protocols import protocol_routes
from emf.serve.service.service import Service

_EXPOSED = ("Retry-After", "dg-request-id", "dg-error")
_PREFLIGHT_SECONDS = 600


def make_app(service: Service, protocols: Sequence[str]) -> Starlette:
    """The application that serves some protocols; see `PROTOCOLS`."""
    service.counters.declare(protocols)
    wanted = [route for name in protocols for route in protocol_routes(name, service)]
    page = captions.routes() if captions.PROTOCOL in protocols else []
    served = [*wanted, *health.routes(service), *metrics.routes(service)]
    return Starlette(routes=[*served, *page, *openapi.routes(served)], middleware=_sharing(service))


def _sharing(service: Service) -> Sequence[Middleware]:
    """What tells browsers that the pages of other origins may read answers: those that may connect."""
    origins = service.gate.origins
    if not origins:
        return ()
    sharing = Middleware(
        CORSMiddleware,
        allow_origins=sorted(origins),
        allow_methods=("GET", "POST"),
        allow_headers=("*",),
        expose_headers=_EXPOSED,
        allow_private_network=True,
        max_age=_PREFLIGHT_SECONDS,
    )
    return [sharing]
