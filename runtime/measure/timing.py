"""Where a recognizer's time goes: features, encoder, predictor, joiner; the rest is search."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from emf.runtime.arrays import Array, Arrays, FloatArray
from emf.runtime.audio.features import FeatureExtractor
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.inference.session import Session

COMPONENTS = ("features", "encoder", "predictor", "joiner", "search")


class ComponentTimes:
    """Seconds spent in each component since the last `take`. An `Instrument`, for one thread."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(COMPONENTS, 0.0)

    @contextmanager
    def measure(self, component: str) -> Iterator[None]:
        """Add the time that the block takes."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[component] += time.perf_counter() - begin

    def around_session(self, graph: str, session: Session) -> Session:
        """The session with its time added up under its graph's name; see `Instrument`."""
        return TimedSession(session, graph, self)

    def around_features(self, extractor: FeatureExtractor) -> FeatureExtractor:
        """The extractor with its time added up as `features`; see `Instrument`."""
        return TimedExtractor(extractor, self)

    def take(self, total: float) -> dict[str, float]:
        """The seconds of each component out of `total`, of which search is what no other took; back to zero."""
        taken = self._seconds | {"search": max(total - sum(self._seconds.values()), 0.0)}
        self._seconds = dict.fromkeys(COMPONENTS, 0.0)
        return taken


class TimedSession:
    """A session that tells `ComponentTimes` how long it runs."""

    def __init__(self, session: Session, component: str, times: ComponentTimes) -> None:
        self._session, self._component, self._times = session, component, times

    @property
    def precision(self) -> str:
        """See `Session`."""
        return self._session.precision

    def blocks(self, num_rows: int) -> tuple[int, ...]:
        """See `Session`."""
        return self._session.blocks(num_rows)

    def warm_up(self, num_rows: int) -> None:
        """See `Session`."""
        self._session.warm_up(num_rows)

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        """See `Session`."""
        with self._times.measure(self._component):
            return self._session.run(inputs, outputs)


class TimedExtractor:
    """A feature extractor that tells `ComponentTimes` how long it runs."""

    def __init__(self, extractor: FeatureExtractor, times: ComponentTimes) -> None:
        self._extractor, self._times = extractor, times

    def is_ready(self, buffer: SampleBuffer, step: int) -> bool:
        """See `FeatureExtractor`."""
        return self._extractor.is_ready(buffer, step)

    def extract(self, buffer: SampleBuffer, step: int) -> FloatArray:
        """See `FeatureExtractor`."""
        with self._times.measure("features"):
            return self._extractor.extract(buffer, step)

    def first_sample(self, step: int) -> int:
        """See `FeatureExtractor`."""
        return self._extractor.first_sample(step)

    def end_sample(self, step: int) -> int:
        """See `FeatureExtractor`."""
        return self._extractor.end_sample(step)
