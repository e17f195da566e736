"""Beam search with several tokens a frame, for many streams at once: what `emf.runtime.search.beam` does for one.

Every stream is at a frame of its own. A round asks the joiner for the hypotheses that it has not seen at their frame,
ends the frame by a blank for each, and extends them by a token. A stream none of whose hypotheses can be extended
begins its next frame with the next round.
"""

from collections.abc import Sequence

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.search.batched.answers import Answers
from emf.runtime.search.batched.hypotheses import Columns, Row, ranks_in
from emf.runtime.search.batched.prefixes import NONE, IntArray, Prefixes
from emf.runtime.search.beam import BEAM_LENGTH_OFFSET
from emf.runtime.search.candidates import num_candidates
from emf.runtime.search.hypothesis import Hypothesis, SearchState
from emf.runtime.search.model import Model
from emf.runtime.search.options import SearchOptions


def beam_search(
    encodings: FloatArray, states: Sequence[SearchState], model: Model, options: SearchOptions
) -> list[SearchState]:
    """One step of every stream; see `Advance`."""
    search = _BeamSearch(encodings, states, model, options)
    while len(search.active.stream):
        search.run_round()
    return [state.after(search.found[stream], encodings.shape[1]) for stream, state in enumerate(states)]


class _BeamSearch:
    """The search of one step.

    Attributes:
        active: hypotheses that may be extended at the frame of their stream.
        found: hypotheses after the last frame, best first, of the streams that have ended it.
    """

    def __init__(
        self, encodings: FloatArray, states: Sequence[SearchState], model: Model, options: SearchOptions
    ) -> None:
        self.found: dict[int, list[Hypothesis]] = {}
        self.active = Row.of(states, encodings.dtype)
        self._encodings, self._options = encodings, options
        self._prefixes = Prefixes(states, model, options)
        self._top_k = max(num_candidates(state, options) for state in states)
        self._answers: Answers | None = None
        # Hypotheses that ended the frame of their stream by a blank.
        self._ended = Columns.empty(len(states), 4 * options.beam_width, encodings.dtype)
        self._counts = np.zeros(len(states), np.int64)
        # By prefix: its column there, and the number of its answer.
        self._columns = np.full(len(self._prefixes.lengths), NONE)
        self._numbers = self._columns.copy()
        self._lengths = np.array([state.num_committed for state in states]) + BEAM_LENGTH_OFFSET
        self._frames = np.array([state.num_frames for state in states])
        self._offsets, self._expansions = np.zeros((2, len(states)), np.int64)

    def run_round(self) -> None:
        """Join, end by a blank, extend; then go on to the next frame where nothing was extended."""
        active = self.active
        answers = self._join(active)
        numbers = self._numbers[active.prefix]
        self._end_by_blank(active, answers.blank[numbers])
        extended = self._extend(active, answers, numbers)
        still = np.bincount(extended.stream, minlength=len(self._counts))
        ending = np.flatnonzero((self._counts > 0) & (still == 0))
        self.active = extended.with_others(self._begin_frames(ending)) if len(ending) else extended

    def _join(self, active: Row) -> Answers:
        """Ask for the hypotheses that are not known at their frame."""
        new = np.flatnonzero(self._columns[active.prefix] == NONE)
        if not len(new) and self._answers is not None:
            return self._answers
        streams, prefixes = active.stream[new], active.prefix[new]
        joined = self._prefixes.join(self._encodings[streams, self._offsets[streams]], prefixes, self._top_k)
        gains = self._prefixes.gains(joined, prefixes, streams)
        if self._answers is None:
            self._answers = Answers.of(joined, gains)
            self._numbers[prefixes] = np.arange(len(prefixes))
        else:
            self._numbers[prefixes] = self._answers.add(joined, gains)
        columns = self._counts[streams] + ranks_in(streams)
        self._counts += np.bincount(streams, minlength=len(self._counts))
        self._ended.widen(int(self._counts.max()))
        self._ended.prefix[streams, columns], self._ended.path[streams, columns] = prefixes, active.path[new]
        self._columns[prefixes] = columns
        return self._answers

    def _end_by_blank(self, active: Row, blank: FloatArray) -> None:
        """Add the probability that a hypothesis ends its frame to what is known of its tokens."""
        ended, cells = self._ended, (active.stream, self._columns[active.prefix])
        known, totals = ended.score[cells], active.score + blank
        # The path kept, and with it the frames, is the more probable one.
        ended.path[cells] = np.where(totals > known, active.path, ended.path[cells])
        ended.score[cells] = np.logaddexp(known, totals)

    def _extend(self, active: Row, answers: Answers, numbers: IntArray) -> Row:
        """The best extensions of each stream's hypotheses that can still enter its beam."""
        totals = active.score[:, None] + answers.gains[numbers]
        kept = totals > self._floor()[active.stream, None]
        kept[self._expansions[active.stream] == self._options.step_max_tokens] = False
        self._expansions += 1
        sources, choices = np.nonzero(kept)
        scores, streams = totals[kept], active.stream[sources]
        order = np.lexsort((-scores, streams))
        order = order[ranks_in(streams) < self._options.beam_width]
        sources, choices, scores, streams = sources[order], choices[order], scores[order], streams[order]
        cells = numbers[sources], choices
        tokens, log_probs = answers.top_ids[cells], answers.top[cells]
        paths = self._prefixes.emit(active.path[sources], tokens, (self._frames + self._offsets)[streams], log_probs)
        prefixes = self._prefixes.extend(active.prefix[sources], tokens, streams)
        self._grow(len(self._prefixes.lengths))
        return Row(streams, prefixes, paths, scores)

    def _floor(self) -> FloatArray:
        """Of each stream the score that an extension must exceed to enter the beam."""
        scores, width = self._ended.score, self._options.beam_width
        worst = scores.shape[1] - width
        floor = np.partition(scores, worst, axis=1)[:, worst]
        if self._options.beam_threshold < np.inf:
            lowest = scores.max(axis=1).astype(np.float64) - self._options.beam_threshold
            floor = np.maximum(floor, lowest.astype(scores.dtype))
        return floor

    def _grow(self, num_prefixes: int) -> None:
        new = np.full(num_prefixes - len(self._columns), NONE)
        if len(new):
            self._columns, self._numbers = np.concatenate([self._columns, new]), np.concatenate([self._numbers, new])

    def _begin_frames(self, streams: IntArray) -> Row:
        """Begin the next frame of some streams with the best hypotheses that ended this one."""
        ended, options = self._ended.first(int(self._counts[streams].max())).of(streams), self._options
        self._ended.drop(streams)
        self._columns[ended.prefix[ended.prefix != NONE]] = NONE
        self._counts[streams] = self._expansions[streams] = 0
        self._offsets[streams] += 1
        beams = ended.ranked(self._prefixes.lengths[ended.prefix] + self._lengths[streams, None])
        beams = beams.first(options.beam_width)
        beams.drop_below(options.beam_threshold)
        for row in np.flatnonzero(self._offsets[streams] == self._encodings.shape[1]).tolist():
            self.found[int(streams[row])] = beams.hypotheses(row, self._prefixes)
            beams.drop(np.arange(row, row + 1))
        return beams.row(streams)
