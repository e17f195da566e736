"""Recording the inputs of a running recognizer's graphs: reservoirs of calls, one for each stage of a stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emf.runtime.arrays import Array, Arrays
from emf.runtime.audio.features import FeatureExtractor
from emf.runtime.inference.session import Session

STAGE_SHARES = {"first": 0.2, "full_context": 0.6, "flush": 0.2}
"""How many of the samples come from each stage of a stream."""


class Reservoir:
    """A uniform sample of everything offered, of fixed size (Vitter's algorithm R)."""

    def __init__(self, capacity: int, seed: int) -> None:
        self.items: list[dict[str, Array]] = []
        self.offered = 0
        self._capacity = capacity
        self._random = np.random.default_rng(seed)

    def offer(self, inputs: Arrays) -> None:
        """Take a copy of the inputs of a call, or let it go."""
        self.offered += 1
        slot = len(self.items)
        if slot == self._capacity:
            slot = int(self._random.integers(self.offered))
            if slot >= self._capacity:
                return
        self.items[slot : slot + 1] = [{name: _copy(array) for name, array in inputs.items()}]


def _copy(array: Array) -> Array:
    """A copy in numpy's own type: ONNX Runtime gives C's long long for int64, which OpenVINO does not take."""
    copy: Array = np.empty(array.shape, np.dtype(array.dtype.name))
    copy[...] = array
    return copy


def _rows_read(inputs: Arrays, rings: Mapping[str, str]) -> Arrays:
    """The inputs with rings of the rows that are read: the block has addresses for hundreds of streams."""
    given = dict(inputs)
    for ring, rows in rings.items():
        taken, places = np.unique(inputs[rows], return_inverse=True)
        given[ring], given[rows] = inputs[ring][taken], places.reshape(inputs[rows].shape).astype(np.int64)
    return given


class Recorder:
    """Reservoirs of one graph, one for each stage; `stage` says where the stream is."""

    def __init__(self, num_samples: int, seed: int, rings: Mapping[str, str] | None = None) -> None:
        """Keep so many calls.

        Args:
            num_samples: to keep in all.
            seed: to choose them with.
            rings: inputs that hold a row for every stream of the process, and the input that says which rows are read:
                these alone are kept.
        """
        self.stage = "first"
        self.rings = rings or {}
        self.reservoirs = {
            stage: Reservoir(max(1, round(num_samples * share)), seed + index)
            for index, (stage, share) in enumerate(STAGE_SHARES.items())
        }

    def wrap(self, session: Session) -> "RecordingSession":
        """The session with its inputs recorded."""
        return RecordingSession(session, self)

    def samples(self) -> tuple[Arrays, ...]:
        """All that was kept."""
        return tuple(item for reservoir in self.reservoirs.values() for item in reservoir.items)

    def counts(self) -> dict[str, dict[str, int]]:
        """Calls seen and kept, by stage."""
        return {name: {"seen": r.offered, "kept": len(r.items)} for name, r in self.reservoirs.items()}


class RecordingSession:
    """A session that shows its inputs to a recorder; see `emf.runtime.inference.session.Session`."""

    def __init__(self, session: Session, recorder: Recorder) -> None:
        self._session = session
        self._recorder = recorder

    @property
    def precision(self) -> str:
        """That of the session."""
        return self._session.precision

    def blocks(self, num_rows: int) -> tuple[int, ...]:
        """All rows at once: rows added to fill a block would be recorded."""
        return (num_rows,)

    def warm_up(self, num_rows: int) -> None:
        """That of the session."""
        self._session.warm_up(num_rows)

    def run(self, inputs: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
        """Record, then run."""
        self._recorder.reservoirs[self._recorder.stage].offer(_rows_read(inputs, self._recorder.rings))
        return self._session.run(inputs, outputs)


@dataclass(frozen=True, slots=True)
class Recording:
    """An `Instrument` that shows every graph's inputs to its recorder."""

    recorders: Mapping[str, Recorder]

    def around_session(self, graph: str, session: Session) -> Session:
        """The session with its inputs recorded."""
        return self.recorders[graph].wrap(session)

    def around_features(self, extractor: FeatureExtractor) -> FeatureExtractor:
        """The extractor as it is."""
        return extractor
