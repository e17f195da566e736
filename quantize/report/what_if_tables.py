"""What-if figures as a section of a page."""

from collections.abc import Iterator

from emf.quantize.structure.rows import Experts, GeometryRow, Ranks, VocabularyUse, WhatIf, Words
from emf.runtime.pages.content import Block, Section

_WORDS = ("WER %", "S / D / I", "WER change (95 %)", "words changed")


def what_if_section(what_if: WhatIf) -> Section:
    """All that was measured."""
    blocks: list[Block] = []
    if what_if.ranks:
        blocks += _ranks(what_if.ranks)
    if what_if.geometry:
        blocks.append(_geometry(what_if.geometry))
    if what_if.vocabulary:
        blocks += _vocabulary(what_if.vocabulary)
    if what_if.experts:
        blocks += _experts(what_if.experts)
    return Section("What if the structure were another", _told(what_if), tuple(blocks))


def _told(what_if: WhatIf) -> str:
    return (
        f"Measured without converting anything, on {what_if.words} words in {what_if.seconds / 60:.1f} minutes: the "
        f"float weights, taken from the artifact's graph, compute what the graph does to {what_if.step_error:.0e} and "
        f"make {100 * what_if.wer:.2f} % WER. What depends on speech was found on one half of it, by speaker, and "
        "tried on the other."
    )


def _ranks(ranks: Ranks) -> Iterator[Block]:
    shares = list(ranks.layers[0].whitened)
    header = (
        "layer",
        *(f"{100 * float(s):g} %" for s in shares),
        *(f"{100 * float(s):g} % by weights" for s in shares),
    )
    rows = [
        [str(one.layer), *(str(one.whitened[s]) for s in shares), *(str(one.plain[s]) for s in shares)]
        for one in ranks.layers
    ]
    text = "Directions of keys and values that hold a share of their energy on speech; without looking at speech."
    yield Block("Latents for keys and values: energy", text, (header, rows))
    cost_rows = [
        [
            f"{cost.mean_rank} ({100 * cost.of_width:.0f} %)",
            ", ".join(map(str, cost.ranks)),
            f"{100 * cost.energy:.2f}",
            f"{cost.state_bytes / 2**10:.1f} / {cost.state_int8_bytes / 2**10:.1f}",
            f"{cost.attention_weight_bytes / 2**20:.2f}",
            *_words(cost.words),
        ]
        for cost in ranks.costs
    ]
    text = (
        f"As it is, a stream keeps {ranks.state_bytes / 2**10:.1f} KiB of keys and values, and attention reads "
        f"{ranks.attention_weight_bytes / 2**20:.2f} MiB of INT8 weights a step. Bytes are computed, words measured."
    )
    header = ("mean rank", "by layer", "energy %", "state KiB, float32 / int8", "attention weights MiB, INT8", *_WORDS)
    yield Block("Latents for keys and values: cost", text, (header, cost_rows))


def _geometry(rows: tuple[GeometryRow, ...]) -> Block:
    header = ("segment + right ms", "left ms", "latency ms", "state KiB", "step ms", "load %", *_WORDS)
    table = [
        [
            f"{row.segment_ms} + {row.right_context_ms}{' (trained)' if row.as_trained else ''}",
            str(row.left_context_ms),
            str(row.latency_ms),
            f"{row.state_bytes / 2**10:.1f}",
            f"{row.step_ms:.2f}",
            f"{100 * row.load:.2f}",
            *_words(row.words),
        ]
        for row in rows
    ]
    text = (
        "The same weights without training again. Latency is the longest wait of a frame for its step; step and load "
        "are of one stream, a float32 graph of these sizes in ONNX Runtime."
    )
    return Block("Other lengths", text, (header, table))


def _vocabulary(use: VocabularyUse) -> Iterator[Block]:
    text = f"The speech needs {use.used} of {use.symbols} symbols, by its transcripts and by what the model emits."
    rows = [["these symbols", *_words(use.words)], ["those of the other half alone", *_words(use.words_unseen)]]
    yield Block("Fewer symbols: words", text, (("symbols kept", *_WORDS), rows))
    counts = list(use.joiner[0].milliseconds)
    header = ("symbols", "MiB", *(f"{count} rows ms" for count in counts))
    times = [
        [str(one.symbols), f"{one.bytes / 2**20:.2f}", *(f"{one.milliseconds[count]:.3f}" for count in counts)]
        for one in use.joiner
    ]
    yield Block("Fewer symbols: the joiner", "Float32 in ONNX Runtime; a row is a hypothesis.", (header, times))


def _experts(experts: Experts) -> Iterator[Block]:
    yield Block("Experts", experts.verdict)
    header: tuple[str, ...] = ("layer", "above 0 %", "for 90 % of a row %", "for 90 % of each row of a step %")
    rows = [
        [str(one.layer), *(f"{100 * share:.1f}" for share in (one.positive, one.of_energy, one.of_energy_in_step))]
        for one in experts.activity
    ]
    yield Block("Experts: neurons that a row uses", "", (header, rows))
    streams = list(experts.settings[0].touched) if experts.settings else []
    header = ("experts", "choice", *(f"touched by {count} %" for count in streams), *_WORDS)
    table = [
        [f"{row.chosen} of {row.experts}", choice, *(f"{100 * row.touched[n]:.0f}" for n in streams), *_words(found)]
        for row in experts.settings
        for choice, found in (("probe", row.probe), ("best", row.oracle))
    ]
    table.append(["half the neurons gone", "", *("50" for _ in streams), *_words(experts.half)])
    text = "Touched: experts that at least one row of a step of so many streams chose, with the probe."
    yield Block("Experts: words", text, (header, table))
    counts = list(next((one.milliseconds for one in experts.times if one.milliseconds), {}))
    times = [
        [
            one.form,
            one.backend,
            f"{one.chosen} of {one.experts}" if one.experts else "",
            *(f"{one.milliseconds[count]:.2f}" if not one.error else "did not run" for count in counts),
        ]
        for one in experts.times
    ]
    text = "All layers' feed-forward networks alone, milliseconds a step, by streams in the batch."
    header = ("form", "backend", "experts", *(f"{count} streams" for count in counts))
    yield Block("Experts: time", text, (header, times))


def _words(words: Words) -> list[str]:
    low, high = words.wer_delta_ci95
    return [
        f"{100 * words.wer:.2f}",
        f"{words.edits.substitutions} / {words.edits.deletions} / {words.edits.insertions}",
        f"{100 * words.wer_delta:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})",
        str(words.changed_words),
    ]
