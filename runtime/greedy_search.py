"""Greedy search: at every frame the best symbol, until it is the blank."""

from typing import cast

from emf.runtime.search import Extend, Hypothesis, Join, Predicted, Search, SearchOptions, SearchState
from emf.runtime.session import FloatArray
from emf.runtime.transducer import Joined


def greedy_search(encodings: FloatArray, state: SearchState, options: SearchOptions) -> Search:
    """Search the frames of one step with a single hypothesis.

    Args:
        encodings: encoder frames, shape (frames, encoding_dim).
        state: the search so far; of several hypotheses the best goes on.
        options: `step_max_tokens` bounds the tokens emitted at one frame.

    Returns:
        The state after the last frame.
    """
    best = state.hypotheses[0]
    for offset, frame in enumerate(encodings):
        for emitted in range(options.step_max_tokens + 1):
            joined = cast(Joined, (yield Join(frame, [best.prediction])))
            blank, top, token = float(joined.blank[0]), float(joined.top[0, 0]), int(joined.top_ids[0, 0])
            if blank >= top or emitted == options.step_max_tokens:
                best = best._replace(score=best.score + blank)
                break
            ((prediction, lstm_state),) = cast(Predicted, (yield Extend([token], [best.state])))
            best = Hypothesis(
                (*best.tokens, token),
                (*best.timestamps, state.num_frames + offset),
                (*best.log_probs, top),
                best.score + top,
                prediction,
                lstm_state,
            )
    return SearchState((best,), state.num_committed, state.num_frames + len(encodings))
