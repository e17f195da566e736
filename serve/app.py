"""The application: the routes of the protocols that are wanted, and of operations."""

from collections.abc import Sequence

from starlette.applications import Starlette

from emf.serve.captions import routes as captions
from emf.serve.operations import health, metrics, openapi
from emf.serve.protocols import protocol_routes
from emf.serve.service.service import Service


def make_app(service: Service, protocols: Sequence[str]) -> Starlette:
    """The application that serves some protocols; see `PROTOCOLS`."""
    service.counters.declare(protocols)
    wanted = [route for name in protocols for route in protocol_routes(name, service)]
    page = captions.routes() if captions.PROTOCOL in protocols else []
    served = [*wanted, *health.routes(service), *metrics.routes(service)]
    return Starlette(routes=[*served, *page, *openapi.routes(served)])
