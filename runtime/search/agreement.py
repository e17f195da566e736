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
    """Drop the hypotheses that differ from the best one in a token that either emitted before `frame`."""
    best = state.best
    agreeing = tuple(h for h in state.hypotheses if not _differ_before(frame, h, best))
    return replace(state, hypotheses=agreeing)


def _differ_before(frame: int, one: Hypothesis, other: Hypothesis) -> bool:
    """Whether the first token that only one of them has, or that the other replaces, came before `frame`."""
    count = common_prefix_length([one, other])
    return any(emitted < frame for h in (one, other) for emitted in h.emissions.frames[count : count + 1])


def cut(state: SearchState, tokens: tuple[int, ...], frame: int) -> SearchState:
    """Make the tokens of one hypothesis the text so far, and forget them; the caller keeps them.

    Args:
        state: the search.
        tokens: of the hypothesis. Others that begin with them go on with those behind them; the rest are dropped.
        frame: a hypothesis that emitted the first token behind them before this frame is dropped too.
    """
    count = len(tokens)
    continuing = tuple(
        h
        for h in state.hypotheses
        if h.tokens[:count] == tokens and all(emitted >= frame for emitted in h.emissions.frames[count : count + 1])
    )
    return commit(replace(state, hypotheses=continuing), count)


def commit(state: SearchState, count: int) -> SearchState:
    """Forget the first `count` tokens, which all hypotheses share; the caller keeps them."""
    if count == 0:
        return state
    hypotheses = tuple(h._replace(emissions=h.emissions[count:]) for h in state.hypotheses)
    return replace(state, hypotheses=hypotheses, num_committed=state.num_committed + count)
