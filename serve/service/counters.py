"""What the server counts beside the engine's own metrics."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LAG_SECONDS = (0.02, 0.04, 0.08, 0.12, 0.16, 0.24, 0.32, 0.5, 1.0, 2.0, 5.0)
_PAUSE_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0)
_LOOP_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class Counters:
    """Counters and histograms of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry(auto_describe=True)
        self._sessions = Gauge("emf_sessions", "Connections with a session.", ["protocol"], registry=registry)
        self._refused = Counter("emf_refused", "Connections refused.", ["reason"], registry=registry)
        self._failed = Counter("emf_failed", "Sessions ended by an error.", ["code"], registry=registry)
        self._audio = Counter("emf_audio_seconds", "Audio that came.", ["protocol"], registry=registry)
        self._lag = Histogram(
            "emf_lag_seconds", "Audio's arrival to its text.", buckets=_LAG_SECONDS, registry=registry
        )
        self._final = Histogram(
            "emf_final_seconds", "End of the audio to the last text.", buckets=_LAG_SECONDS, registry=registry
        )
        self._loop = Histogram(
            "emf_loop_lag_seconds", "Delay of the event loop.", buckets=_LOOP_SECONDS, registry=registry
        )

        self._workers = Counter("emf_worker_starts", "Workers that were ready.", registry=registry)
        self._lost = Counter("emf_worker_losses", "Workers that were lost.", ["how"], registry=registry)
        self._blamed = Counter("emf_streams_blamed", "Streams ended because they end workers.", registry=registry)
        self._pause = Histogram(
            "emf_move_pause_seconds",
            "Silence of a stream that goes on at another worker.",
            ["why"],
            buckets=_PAUSE_SECONDS,
            registry=registry,
        )

    def declare(self, protocols: Iterable[str]) -> None:
        """Begin with a zero for each protocol."""
        for protocol in protocols:
            self._sessions.labels(protocol)
            self._audio.labels(protocol)

    def watch_connections(self, count: Callable[[], int]) -> None:
        """Tell how many connections are open, whenever somebody asks."""
        gauge = Gauge("emf_connections", "Connections that are open, of whatever kind.", registry=self.registry)
        gauge.set_function(count)

    def refused(self, reason: str) -> None:
        """Count a connection that was refused."""
        self._refused.labels(reason).inc()

    def failed(self, code: str) -> None:
        """Count a session that failed."""
        self._failed.labels(code).inc()

    def session_began(self, protocol: str) -> None:
        """Count a session."""
        self._sessions.labels(protocol).inc()

    def session_ended(self, protocol: str, audio_seconds: float) -> None:
        """Count a session's end, and the audio that came in it."""
        self._sessions.labels(protocol).dec()
        self._audio.labels(protocol).inc(audio_seconds)

    def lag(self, seconds: float) -> None:
        """Record the lag of a partial or final text."""
        self._lag.observe(seconds)

    def final(self, seconds: float) -> None:
        """Record the time from the end of the audio to the last text."""
        self._final.observe(seconds)

    def loop_lag(self, seconds: float) -> None:
        """Record how late the event loop was."""
        self._loop.observe(seconds)

    def worker_ready(self, seconds: float) -> None:
        """See `PoolObserver`."""
        self._workers.inc()

    def worker_lost(self, how: str) -> None:
        """See `PoolObserver`."""
        self._lost.labels(how).inc()

    def stream_moved(self, why: str, pause: float) -> None:
        """See `PoolObserver`."""
        self._pause.labels(why).observe(pause)

    def stream_blamed(self) -> None:
        """See `PoolObserver`."""
        self._blamed.inc()
