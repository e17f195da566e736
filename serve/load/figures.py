"""What a load came to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emf.runtime.measure.figures import LatencyStatistics
from emf.serve.load.alone import Alone
from emf.serve.load.call import Call


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """Figures of one number of streams.

    Attributes:
        streams: at once.
        lag_ms: of each change of the text, from when the last audio that it needs was due.
        final_ms: from the end of a recording to the server's end marker.
        refused: connections that the server did not take.
        failed: recordings that ended without their whole text.
        wrong_text: recordings whose text is another than alone.
        recordings: those that came to their end.
        updates: changes of the text that `lag_ms` is about.
        refused_ms: from a connection's begin to its refusal.
        sending_late_ms: how late messages were sent. Where it is large, the load or its server's socket was too slow.
        reasons: of what was refused or failed.
        kept_up: the load ran to its end.
    """

    streams: int
    lag_ms: LatencyStatistics
    final_ms: LatencyStatistics
    refused: int
    failed: int
    wrong_text: int
    recordings: int
    updates: int
    refused_ms: LatencyStatistics
    sending_late_ms: LatencyStatistics
    reasons: Mapping[str, int]
    kept_up: bool


@dataclass(slots=True)
class Load:
    """One number of streams, and what came of it.

    Attributes:
        streams: at once.
        calls: recordings that came to their end.
        refusals: seconds until each.
        failed: recordings that did not come to their end.
        reasons: of refusals and failures.
        until: end of the full load, by the event loop's clock.
        kept_up: the load ran to its end.
    """

    streams: int
    calls: list[Call] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    until: float = 0.0
    kept_up: bool = True
    _lags: list[float] = field(default_factory=list)
    _wrong: int = 0

    def compare(self, alone: Sequence[Alone]) -> None:
        """Compare the calls with the recordings alone, once the load is over."""
        for call in self.calls:
            alone[call.recording].learn(call)
        for call in self.calls:
            self._lags += alone[call.recording].lags(call, self.until)
        self._wrong = sum(call.text != alone[call.recording].text for call in self.calls)

    @property
    def is_broken(self) -> bool:
        """Whether a text is wrong or missing."""
        return bool(self.failed or self._wrong)

    def within(self, deadline: float) -> bool:
        """Whether all were served, and 99 of 100 changes of the text came within the deadline (seconds)."""
        whole = self.kept_up and not self.refusals and not self.is_broken
        return whole and bool(self._lags) and float(np.percentile(self._lags, 99)) <= deadline

    def figures(self) -> LoadFigures:
        """Statistics; `compare` comes first."""
        return LoadFigures(
            streams=self.streams,
            lag_ms=LatencyStatistics.of(self._lags),
            final_ms=LatencyStatistics.of([call.final for call in self.calls if call.final is not None]),
            refused=len(self.refusals),
            failed=self.failed,
            wrong_text=self._wrong,
            recordings=len(self.calls),
            updates=len(self._lags),
            refused_ms=LatencyStatistics.of(self.refusals),
            sending_late_ms=LatencyStatistics.of([late for call in self.calls for late in call.late]),
            reasons=dict(self.reasons),
            kept_up=self.kept_up,
        )
