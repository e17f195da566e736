"""What the hypotheses of a stream agree on: text that can be handed out, and how disputes end."""

from collections.abc import Sequence
from dataclasses import replace

from emf.runtime.search.hypothesis import Hypothesis, SearchState


def common_prefix_length(hypotheses: Sequence[Hypothesis]) -> int:
    """How many leading tokens all hypotheses share."""
    sequences = [h.tokens for h in hypotheses]
    shortest = min(sequences, key=len)
    for index, token in enumerate(shortest):
        if any(tokens[index] != token for tokens in sequences):
            return index
    return len(shortest)


def settle(state: SearchState, frame: int) -> SearchState:
    """Drop the hypotheses that still disagree with the best one on a token that it emitted before `frame`."""
    best = state.best
    count = sum(emitted < frame for emitted in best.emissions.frames)
    agreeing = tuple(h for h in state.hypotheses if h.tokens[:count] == best.tokens[:count])
    return replace(state, hypotheses=agreeing)


def commit(state: SearchState, count: int) -> SearchState:
    """Forget the first `count` tokens, which all hypotheses share; the caller keeps them."""
    if count == 0:
        return state
    hypotheses = tuple(h._replace(emissions=h.emissions[count:]) for h in state.hypotheses)
    return replace(state, hypotheses=hypotheses, num_committed=state.num_committed + count)
