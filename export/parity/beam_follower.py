"""Our search over a backend's numbers beside torchaudio's own: whole beams after every chunk, ties told as ties."""

from dataclasses import replace

import numpy as np

from emf.export.model import SourceModel
from emf.export.parity.beams import (
    Beam,
    adopted,
    difference,
    drift_of,
    our_beam,
    relative_score_error,
    same_tokens,
    score_error,
    score_rounding,
    their_beam,
)
from emf.export.parity.paired_search import PairedSearch
from emf.export.parity.reference import ReferenceStep
from emf.export.parity.verification import Tie
from emf.runtime.arrays import FloatArray
from emf.runtime.inference.transducer import Transducer
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import Advance, advance, initial_search_state

SCORE_TOLERANCE = {"float32": 1e-3, "float16": 1e-2}
"""How far log-probabilities may lie apart, by the precision of the encoder's cache."""

_REPETITIONS = 16
"""How often torchaudio's search is repeated, each time rounded otherwise, to find the beam of a backend."""


class BeamFollower:
    """Our search over one backend's encodings, following torchaudio's.

    Attributes:
        score_error: greatest difference of a hypothesis' score, where no tie stood before.
        best_equal: after the last chunk the best hypothesis was torchaudio's.
        ties: chunks that rounding decided. After one of these our search goes on from torchaudio's hypotheses.
        mistake: what is wrong with the search; `None` while nothing is.
    """

    def __init__(self, source: SourceModel, transducer: Transducer, beam_width: int, search: Advance = advance) -> None:
        """Begin a stream.

        Args:
            source: the model in PyTorch.
            transducer: the backend's graphs.
            beam_width: hypotheses kept.
            search: the implementation to check.
        """
        self.score_error = 0.0
        self.best_equal = True
        self.ties: list[Tie] = []
        self.mistake: str | None = None
        self._source, self._transducer, self._search = source, transducer, search
        self._backend = transducer.variant.backend
        self._options = SearchOptions(beam_width=beam_width)
        halves = any(tensor.dtype == "float16" for tensor in transducer.graphs["encoder"].inputs)
        self._score_tolerance = SCORE_TOLERANCE["float16" if halves else "float32"]
        start = transducer.initial_predictor_state()
        self._search_state = initial_search_state(transducer, transducer.blank_id, start)

    def follow(self, encoding: FloatArray, step: ReferenceStep, index: int) -> None:
        """Search the backend's frames of a chunk, shape (frames, encoding_dim), and compare the beams."""
        before = self._search_state
        (self._search_state,) = self._search(encoding[None], [before], self._transducer, self._options)
        if self.mistake is None:
            self._compare(step, index, encoding, before)

    def _compare(self, step: ReferenceStep, index: int, encoding: FloatArray, before: SearchState) -> None:
        ours, theirs = our_beam(self._search_state.hypotheses), their_beam(step.hypotheses)
        self.best_equal = ours[0][0] == theirs[0][0]
        if self._agree(ours, theirs):
            self.score_error = max(self.score_error, score_error(ours, theirs))
            return
        search = self._repeated_by_torchaudio(ours, encoding, step, before)
        drift = drift_of(ours, theirs)
        mistake = self._mistake(ours, theirs, search, drift)
        if search is None or mistake is not None:
            self.mistake = f"{mistake} (chunk {index})"
            return
        start = relative_score_error(our_beam(before.hypotheses), their_beam(step.hypotheses_before))
        self.ties.append(Tie(self._backend, index, max(search.deviation, start), self.best_equal))
        hypotheses = adopted(step.hypotheses, self._search_state.hypotheses, drift)
        self._search_state = replace(self._search_state, hypotheses=hypotheses)

    def _mistake(self, ours: Beam, theirs: Beam, search: PairedSearch | None, drift: float) -> str | None:
        """Why two beams differ, if not by a tie."""
        if search is None:
            return f"{difference(ours, theirs)}, from the same log-probabilities"
        if not search.deviation <= self._score_tolerance:
            return (
                f"{difference(ours, theirs)}, where log-probabilities deviate by {search.deviation:.1e}, more than "
                f"the {self._score_tolerance:.0e} that rounding explains"
            )
        if not abs(drift) <= self._rounding(ours):
            return f"scores deviate from torchaudio's by {abs(drift):.1e}"
        if same_tokens(ours, theirs) and score_error(ours, theirs) <= 2.0 * self._rounding(ours):
            # An alignment more or less shows more; and a chunk cannot add as much rounding as all those before it.
            return difference(ours, theirs)
        return None

    def _repeated_by_torchaudio(
        self, ours: Beam, encoding: FloatArray, step: ReferenceStep, before: SearchState
    ) -> PairedSearch | None:
        """torchaudio's search that finds `ours`, too: from our hypotheses and numbers but for a last place."""
        last_place = float(np.spacing(np.float32(abs(ours[0][1]))))
        for seed in range(_REPETITIONS):
            jitter = last_place if seed else 0.0
            search = PairedSearch(self._source, self._transducer, self._options.beam_width, jitter, seed)
            found = search.run((encoding, step.encoding), before.hypotheses, step.hypotheses_before)
            if self._agree(ours, found):
                return search
        return None

    def _agree(self, ours: Beam, theirs: Beam) -> bool:
        """Whether two beams are the same but for the rounding of scores; the order below the best does not count."""
        return same_tokens(ours, theirs) and score_error(ours, theirs) <= self._rounding(ours)

    def _rounding(self, beam: Beam) -> float:
        """How far the scores of a beam may lie from torchaudio's."""
        return self._score_tolerance + score_rounding(beam[0][1], self._search_state.num_frames)
