"""The methods of search by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from emf.runtime.arrays import FloatArray
from emf.runtime.errors import UsageError
from emf.runtime.search.beam import BEAM_LENGTH_OFFSET, beam_search
from emf.runtime.search.greedy import greedy_search
from emf.runtime.search.hypothesis import SearchState, ranked
from emf.runtime.search.modified_beam import MODIFIED_BEAM_LENGTH_OFFSET, modified_beam_search
from emf.runtime.search.options import DECODING_METHODS, SearchOptions
from emf.runtime.search.requests import Search


@dataclass(frozen=True, slots=True)
class SearchMethod:
    """One way to search.

    Attributes:
        search: the frames of one step of one stream.
        length_offset: added to a hypothesis' number of tokens in its ranking; `None` if there is only one hypothesis.
    """

    search: Callable[[FloatArray, SearchState, SearchOptions, bool], Search]
    length_offset: int | None

    @property
    def has_choice(self) -> bool:
        """Whether it keeps several hypotheses, between which a language model could decide."""
        return self.length_offset is not None


METHODS = {
    "greedy": SearchMethod(greedy_search, None),
    "beam": SearchMethod(beam_search, BEAM_LENGTH_OFFSET),
    "modified_beam": SearchMethod(modified_beam_search, MODIFIED_BEAM_LENGTH_OFFSET),
}
assert tuple(METHODS) == DECODING_METHODS


def check_guidance(state: SearchState, options: SearchOptions) -> None:
    """Refuse a language model where there is no choice.

    Raises:
        UsageError: greedy search with a language model.
    """
    if state.guidance.fusion is not None and not METHODS[options.decoding_method].has_choice:
        raise UsageError(
            "expected a beam search with a language model, found greedy search, which keeps one hypothesis and "
            "has no choice; take decoding method beam or modified_beam"
        )


def end_words(state: SearchState, options: SearchOptions) -> SearchState:
    """The state where a segment ends, and with it the word that is open in each hypothesis; for reading only."""
    offset = METHODS[options.decoding_method].length_offset
    if state.guidance.fusion is None or offset is None:
        return state
    ended = [h._replace(score=h.score + state.guidance.ending(h.place)) for h in state.hypotheses]
    return replace(state, hypotheses=tuple(ranked(ended, state.num_committed, offset)))
