"""What `--what-if` finds, as values. Their fields' names are the keys of `report.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from emf.quantize.accuracy import EditTotals
from emf.runtime.measure.document import INLINE


@dataclass(frozen=True, slots=True)
class Words:
    """What a changed model makes of the speech, beside the model as it is.

    Attributes:
        wer: word error rate.
        edits: word errors by kind.
        wer_delta: increase of the WER over the model as it is.
        wer_delta_ci95: 95 % interval of that increase, from resampled utterances.
        changed_words: words that differ from what the model as it is says.
    """

    wer: float
    edits: EditTotals = field(metadata=INLINE)
    wer_delta: float
    wer_delta_ci95: tuple[float, float]
    changed_words: int


@dataclass(frozen=True, slots=True)
class LayerRank:
    """How few directions hold a layer's keys and values.

    Attributes:
        layer: its index.
        whitened: by share of energy (`0.95`), directions of `[W_K; W_V] C^½` that hold it, C the inputs' covariance.
        plain: the same of `[W_K; W_V]` alone, without looking at speech.
    """

    layer: int
    whitened: Mapping[str, int]
    plain: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RankCost:
    """What a latent of a mean rank would keep and read.

    Attributes:
        mean_rank: directions a layer, on average.
        of_width: that as a share of the model's width.
        ranks: of each layer: those that hold the most energy at this mean.
        energy: share of the energy that they hold.
        state_bytes: keys and values of one stream in float32.
        state_int8_bytes: the same in int8.
        attention_weight_bytes: of all layers' attention, absorbed and merged, in int8.
        words: what the model says with keys and values projected to these ranks.
    """

    mean_rank: int
    of_width: float
    ranks: tuple[int, ...]
    energy: float
    state_bytes: int
    state_int8_bytes: int
    attention_weight_bytes: int
    words: Words


@dataclass(frozen=True, slots=True)
class Ranks:
    """What-if `ranks`.

    Attributes:
        layers: one row a layer.
        costs: one row a mean rank.
        state_bytes: of the model as it is, float32.
        attention_weight_bytes: of the model as it is, in int8.
    """

    layers: tuple[LayerRank, ...]
    costs: tuple[RankCost, ...]
    state_bytes: int
    attention_weight_bytes: int


@dataclass(frozen=True, slots=True)
class GeometryRow:
    """One geometry of the same weights.

    Attributes:
        segment_ms: new audio of a step.
        right_context_ms: audio that a step waits for beyond it.
        left_context_ms: past that attention sees.
        as_trained: whether it is the artifact's own.
        words: what the model says.
        latency_ms: the longest that a frame waits for its step: segment and right context.
        state_bytes: keys and values of one stream in float32.
        step_ms: median time of a float step of one stream in ONNX Runtime, by a graph of these sizes.
        load: that time over the audio that it is for.
    """

    segment_ms: int
    right_context_ms: int
    left_context_ms: int
    as_trained: bool
    words: Words
    latency_ms: int
    state_bytes: int
    step_ms: float
    load: float


@dataclass(frozen=True, slots=True)
class JoinerTime:
    """Milliseconds of the joiner for some symbols.

    Attributes:
        symbols: without the blank.
        bytes: of its weights, float32.
        milliseconds: by number of hypotheses, ONNX Runtime, float32.
    """

    symbols: int
    bytes: int
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class VocabularyUse:
    """What-if `vocabulary`.

    Attributes:
        symbols: of the model, without the blank.
        used: symbols that spell the transcripts in any way the model would, or that the model emitted.
        words: what the model says if only those are kept, on the same speech.
        words_unseen: the same with symbols from the other half of the speech: what is lost on words not foreseen.
        joiner: times, the whole vocabulary first.
    """

    symbols: int
    used: int
    words: Words
    words_unseen: Words
    joiner: tuple[JoinerTime, ...]


@dataclass(frozen=True, slots=True)
class Activity:
    """How many neurons a layer uses.

    Attributes:
        layer: its index.
        positive: share of neurons above 0, of a row.
        of_energy: share of neurons that carry 90 % of the sum of |h| times the norm of its output weights, of a row.
        of_energy_in_step: the same for all rows of one step together: the union of theirs.
    """

    layer: int
    positive: float
    of_energy: float
    of_energy_in_step: float


@dataclass(frozen=True, slots=True)
class ExpertsRow:
    """One setting of experts.

    Attributes:
        experts: into how many the neurons of a layer are cut.
        chosen: of them, for every row.
        touched: share of experts that at least one row chose, by number of streams in a batch.
        oracle: words if the best experts were known.
        probe: words if a linear probe chooses them.
    """

    experts: int
    chosen: int
    touched: Mapping[str, float]
    oracle: Words
    probe: Words


@dataclass(frozen=True, slots=True)
class FeedForwardTime:
    """Time of all layers' feed-forward networks in one form.

    Attributes:
        backend: that ran it.
        form: in words.
        experts: 0 for a form without.
        chosen: experts a row; 0 for a form without.
        milliseconds: by number of streams in a batch.
        error: why it did not run; empty if it did.
    """

    backend: str
    form: str
    experts: int
    chosen: int
    milliseconds: Mapping[str, float]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Experts:
    """What-if `experts`.

    Attributes:
        verdict: in words.
        activity: one row a layer.
        settings: experts by clustering, a probe as router.
        half: words with half the neurons gone for good.
        times: of each form on this machine.
    """

    verdict: str
    activity: tuple[Activity, ...]
    settings: tuple[ExpertsRow, ...]
    half: Words
    times: tuple[FeedForwardTime, ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Structures that are not there, on given speech; what was not asked for is `None`.

    Attributes:
        seconds: of audio that the words were counted on.
        words: in its transcripts.
        wer: of the model as it is, in float32.
        step_error: greatest difference between the encodings of the artifact's graph and of the ones measured here.
        experts: cost and loss of experts.
        geometry: other lengths of the same weights.
        ranks: latents in place of keys and values.
        vocabulary: fewer symbols.
    """

    seconds: float
    words: int
    wer: float
    step_error: float
    experts: Experts | None = None
    geometry: tuple[GeometryRow, ...] | None = None
    ranks: Ranks | None = None
    vocabulary: VocabularyUse | None = None
