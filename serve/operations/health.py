"""Whether the server lives, and whether it takes new streams."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from emf.serve.service.service import Service


def routes(service: Service) -> Sequence[BaseRoute]:
    """`/health/live` and `/health/ready`."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        taken, capacity = service.gate.places.taken, service.pool.capacity
        state = "draining" if service.gate.draining else "full" if taken >= capacity else "ready"
        if state != "draining" and not service.pool.metrics():
            state = "no worker"
        status = 200 if state == "ready" else 503
        return JSONResponse({"status": state, "streams": taken, "capacity": capacity}, status)

    return [Route("/health/live", live), Route("/health/ready", ready)]
