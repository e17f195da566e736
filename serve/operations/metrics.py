"""`/metrics` in Prometheus' form: the engine's numbers as they are now, and the server's counters."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from emf.runtime.engine.metrics import EngineMetrics
from emf.serve.service.service import Service

_COUNTERS = ("admitted", "finished", "failed", "abandoned", "chunks", "batches", "deadline_misses")
_GAUGES = (
    "ready",
    "queued_seconds",
    "recent_batch_size",
    "recent_p50_ms",
    "recent_p95_ms",
    "recent_p99_ms",
    "headroom",
)


def routes(service: Service) -> Sequence[BaseRoute]:
    """`/metrics`."""
    service.counters.registry.register(_ServiceCollector(service))

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(service.counters.registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/metrics", metrics)]


class _ServiceCollector(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        service = self._service
        engines = service.pool.metrics()
        yield GaugeMetricFamily("emf_streams", "Streams promised to connections.", service.gate.places.taken)
        yield GaugeMetricFamily("emf_capacity", "Streams that can be carried.", service.pool.capacity)
        yield GaugeMetricFamily("emf_workers", "Engines that decode.", len(engines))
        yield GaugeMetricFamily("emf_engine_streams", "Streams in engines.", sum(engine.streams for engine in engines))
        yield GaugeMetricFamily("emf_draining", "1 while the server ends.", int(service.gate.draining))
        yield from _of_engines(engines)


def _of_engines(engines: Sequence[EngineMetrics]) -> Iterator[Metric]:
    for name in _COUNTERS:
        counter = CounterMetricFamily(f"emf_engine_{name}", "See EngineMetrics.", labels=["engine"])
        for number, engine in enumerate(engines):
            counter.add_metric([str(number)], float(getattr(engine, name)))
        yield counter
    for name in _GAUGES:
        gauge = GaugeMetricFamily(f"emf_engine_{name}", "See EngineMetrics.", labels=["engine"])
        for number, engine in enumerate(engines):
            gauge.add_metric([str(number)], float(getattr(engine, name)))
        yield gauge
