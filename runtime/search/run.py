"""The search of a batch of streams: the reference implementation of `Advance`.

It runs the searches of all streams side by side and asks the model once for what they want.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.search.emissions import NOTHING
from emf.runtime.search.hypothesis import Hypothesis, SearchState
from emf.runtime.search.methods import METHODS
from emf.runtime.search.model import Joined, Model
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.requests import Answer, Join, Predict, Predicted, Request, Search


class Advance(Protocol):
    """The seam: whatever searches a step of a batch of streams, one by one or all at once."""

    def __call__(
        self, encodings: FloatArray, states: Sequence[SearchState], model: Model, options: SearchOptions
    ) -> list[SearchState]:
        """Search one step.

        Args:
            encodings: encoder frames of the step, shape (streams, frames, encoding_dim).
            states: the search of each stream so far.
            model: predictor and joiner.
            options: the same for all streams.

        Returns:
            The state of each stream after the step's last frame.
        """


def initial_search_state(model: Model, blank_id: int, lstm_state: FloatArray) -> SearchState:
    """One empty hypothesis: the predictor has seen the blank, as in torchaudio's `_init_b_hypos`."""
    predictions, states = model.predict(np.array([blank_id], np.int64), lstm_state[None])
    return SearchState((Hypothesis(NOTHING, 0.0, predictions[0], states[0]),))


def advance(
    encodings: FloatArray, states: Sequence[SearchState], model: Model, options: SearchOptions
) -> list[SearchState]:
    """One step of every stream with the generators that read like the paper; see `Advance`."""
    search = METHODS[options.decoding_method].search
    look_ahead = len(states) == 1
    searches = [search(frames, state, options, look_ahead) for frames, state in zip(encodings, states, strict=True)]
    return run_searches(searches, model, options)


def run_searches(searches: Sequence[Search], model: Model, options: SearchOptions) -> list[SearchState]:
    """Run one search a stream to its end, batching what they ask of the model."""
    results: dict[int, SearchState] = {}
    requests: dict[int, Request] = {}

    def resume(index: int, answer: Answer | None) -> None:
        try:
            requests[index] = next(searches[index]) if answer is None else searches[index].send(answer)
        except StopIteration as stop:
            requests.pop(index, None)
            results[index] = stop.value

    for index in range(len(searches)):
        resume(index, None)
    while requests:
        joins = {index: request for index, request in requests.items() if isinstance(request, Join)}
        predictions = {index: request for index, request in requests.items() if isinstance(request, Predict)}
        if joins:
            for index, joined in zip(joins, _join_all(list(joins.values()), model, options), strict=True):
                resume(index, joined)
        if predictions:
            for index, predicted in zip(predictions, _predict_all(list(predictions.values()), model), strict=True):
                resume(index, predicted)
    return [results[index] for index in range(len(searches))]


def _join_all(requests: Sequence[Join], model: Model, options: SearchOptions) -> list[Joined]:
    counts = [len(request.frames) * len(request.predictions) for request in requests]
    frames = np.concatenate([np.repeat(request.frames, len(request.predictions), axis=0) for request in requests])
    predictions = np.stack([p for request in requests for p in [*request.predictions] * len(request.frames)])
    joined = model.join(frames, predictions, options.temperature, max(request.top_k for request in requests))
    if options.blank_penalty:
        joined = penalize_blank(joined, options.blank_penalty)
    ends = np.cumsum(counts)
    return [
        Joined(
            joined.blank[end - n : end], joined.top[end - n : end, : r.top_k], joined.top_ids[end - n : end, : r.top_k]
        )
        for n, end, r in zip(counts, ends, requests, strict=True)
    ]


def _predict_all(requests: Sequence[Predict], model: Model) -> list[Predicted]:
    tokens = np.array([token for request in requests for token in request.tokens], np.int64)
    states = np.stack([state for request in requests for state in request.states])
    predictions, new_states = model.predict(tokens, states)
    # Copies: a view of one row would keep the whole batch alive as long as its hypothesis lives.
    rows = iter([(p.copy(), s.copy()) for p, s in zip(predictions, new_states, strict=True)])
    return [[next(rows) for _ in request.tokens] for request in requests]


def penalize_blank(joined: Joined, penalty: float) -> Joined:
    """Log-probabilities as if `penalty` had been subtracted from the blank's logit before the softmax."""
    with np.errstate(divide="ignore"):
        others = np.log(-np.expm1(np.minimum(joined.blank, np.float32(0.0))))
    # Where the blank is so sure that the others vanish beside it, the ones known stand for all.
    others = np.maximum(others, np.logaddexp.reduce(joined.top, axis=1))
    blank = joined.blank - np.float32(penalty)
    total = np.logaddexp(others, blank)
    return Joined(blank - total, joined.top - total[:, None], joined.top_ids)
