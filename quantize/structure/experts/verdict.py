"""What the experts' figures say, in words."""

from collections.abc import Sequence

from emf.quantize.structure.experts.times import BATCHES, DENSE_INT8, HALF_INT8
from emf.quantize.structure.rows import ExpertsRow, FeedForwardTime, Words

_NOTICEABLE = 0.95
"""A form must take at most this share of another's time to be called faster."""


def verdict(settings: Sequence[ExpertsRow], half: Words, times: Sequence[FeedForwardTime]) -> str:
    """Whether any setting of experts beats the dense network here, why, and what would have to be otherwise."""
    dense = {time.backend: time for time in times if time.form == DENSE_INT8 and not time.error}
    halved = {time.backend: time for time in times if time.form == HALF_INT8 and not time.error}
    faster = [told for time in times if time.experts and not time.error for told in _faster(time, dense)]
    useful = [(time, streams, ratio) for time, streams, ratio in faster if _keeps_words(time, settings, half)]
    if useful:
        return f"{_useful(useful, halved)} {_words_lost(settings, half)} {_touched(settings)}".strip()
    if faster:
        time, streams, ratio = min(faster, key=lambda one: one[2])
        told = (
            f"Experts do not pay here: {time.form} in {time.backend} with {time.chosen} of {time.experts} takes "
            f"{ratio:.2f} of dense INT8's time at {streams} streams, but loses more words than half the neurons do."
        )
    else:
        told = f"Experts do not pay here: no setting is faster than dense INT8 at {_listed(BATCHES)} streams."
    return " ".join(part for part in (told, _operators(times, dense), _touched(settings), _words_lost(settings, half),
                                      _needed()) if part)  # fmt: skip


def _faster(time: FeedForwardTime, dense: dict[str, FeedForwardTime]) -> list[tuple[FeedForwardTime, str, float]]:
    """Numbers of streams at which a form of experts beats dense INT8, each with its share of the time.

    A form that computes all experts leaves nothing out: where it is quick, so is the dense network laid out like it.
    """
    if time.backend not in dense or time.chosen == time.experts:
        return []
    ratios = {n: value / dense[time.backend].milliseconds[n] for n, value in time.milliseconds.items()}
    return [(time, n, ratio) for n, ratio in ratios.items() if ratio <= _NOTICEABLE]


def _keeps_words(time: FeedForwardTime, settings: Sequence[ExpertsRow], half: Words) -> bool:
    """Whether the setting's probe loses no more words than half the neurons gone."""
    of_setting = [row for row in settings if (row.experts, row.chosen) == (time.experts, time.chosen)]
    return any(row.probe.wer <= half.wer for row in of_setting)


def _useful(useful: Sequence[tuple[FeedForwardTime, str, float]], halved: dict[str, FeedForwardTime]) -> str:
    time, streams, ratio = min(useful, key=lambda one: one[2])
    beside = halved.get(time.backend)
    half = "" if beside is None else f"; half the neurons take {beside.milliseconds[streams]:.2f} ms"
    return (
        f"Experts pay here: {time.form} in {time.backend} with {time.chosen} of {time.experts} takes "
        f"{time.milliseconds[streams]:.2f} ms, {ratio:.2f} of dense INT8's, at {streams} streams{half}."
    )


def _operators(times: Sequence[FeedForwardTime], dense: dict[str, FeedForwardTime]) -> str:
    """The fastest form of experts in each backend, as a multiple of dense INT8."""
    told = []
    for backend, base in dense.items():
        forms = [time for time in times if time.backend == backend and time.experts and not time.error]
        if forms:
            best = min(
                forms, key=lambda time: sum(time.milliseconds[n] / base.milliseconds[n] for n in base.milliseconds)
            )
            ratios = [f"{best.milliseconds[n] / base.milliseconds[n]:.1f}" for n in base.milliseconds]
            told.append(
                f"{best.form} ({best.chosen} of {best.experts}) in {backend} takes {_listed(ratios)} times its time"
            )
    return f"At best {'; '.join(told)}." if told else ""


def _touched(settings: Sequence[ExpertsRow]) -> str:
    if not settings:
        return ""
    row = min(settings, key=lambda row: abs(row.chosen / row.experts - 0.5))
    shares = [f"{100 * share:.0f} %" for share in row.touched.values()]
    return (
        f"The rows of a step choose differently: of {row.experts} experts with {row.chosen} a row, a batch of "
        f"{_listed(list(row.touched))} streams reads {_listed(shares)}."
    )


def _words_lost(settings: Sequence[ExpertsRow], half: Words) -> str:
    told = [
        f"{row.chosen} of {row.experts} {100 * row.probe.wer_delta:+.1f} points with the probe and "
        f"{100 * row.oracle.wer_delta:+.1f} with the best choice"
        for row in settings
    ]
    return f"Words: {'; '.join(told)}; half the neurons gone for good {100 * half.wer_delta:+.1f}." if told else ""


def _needed() -> str:
    return (
        "It would turn with a model trained with experts whose router chooses once for a whole segment, so that a "
        "step reads only the experts it needs, with an operator that multiplies chosen experts in INT8 as fast as a "
        "dense product, and for one or few streams: a large batch reads all experts whatever they are trained for."
    )


def _listed(values: Sequence[object]) -> str:
    *most, last = map(str, values)
    return f"{', '.join(most)} and {last}" if most else last
