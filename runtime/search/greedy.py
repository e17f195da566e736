"""Greedy search: at every frame the best symbol, until it is the blank."""

from emf.runtime.arrays import FloatArray
from emf.runtime.search.candidates import extension_gains, num_candidates
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.join_table import JoinTable
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.requests import Search, predict


def greedy_search(encodings: FloatArray, state: SearchState, options: SearchOptions, look_ahead: bool) -> Search:
    """Search the frames of one step with a single hypothesis.

    Args:
        encodings: encoder frames, shape (frames, encoding_dim).
        state: the search so far; of several hypotheses the best goes on.
        options: `step_max_tokens` bounds the tokens emitted at one frame.
        look_ahead: see `JoinTable`.

    Returns:
        The state after the last frame.
    """
    best = state.best
    table = JoinTable(encodings, num_candidates(state, options), look_ahead)
    for offset in range(len(encodings)):
        frame = state.num_frames + offset
        for emitted in range(options.step_max_tokens + 1):
            joined = yield from table.look_up([best], offset)
            gains = extension_gains([best], joined, state)[0]
            choice, blank = int(gains.argmax()), float(joined.blank[0])
            if blank >= gains[choice] or emitted == options.step_max_tokens:
                best = best._replace(score=best.score + blank)
                break
            token = int(joined.top_ids[0, choice])
            (predicted,) = yield from predict([token], [best.state])
            log_prob, score = float(joined.top[0, choice]), best.score + float(gains[choice])
            best = state.extend(best, token, frame, log_prob, score, predicted)
    return state.after([best], len(encodings))
