"""What the check against PyTorch found, as values and as JSON. Needs no PyTorch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from emf.export.parity.deviations import Deviations
from emf.export.parity.word_drift import WordDrift


@dataclass(frozen=True)
class Tie:
    """A chunk at which rounding decided which hypotheses stay, or which is best.

    Attributes:
        backend: whose numbers were searched.
        chunk: index of the chunk.
        difference: greatest difference between a number that the backend's search decided by and torchaudio's:
            log-probabilities, and scores before the chunk relative to the best one's.
        best_equal: the best hypothesis, whose text a user sees, is the same all the same.
    """

    backend: str
    chunk: int
    difference: float
    best_equal: bool


@dataclass(frozen=True)
class WaveformVerification:
    """What one backend made of the waveform, beside torchaudio from the waveform on.

    Attributes:
        backend: which.
        tokens_equal: the best hypothesis at the end was torchaudio's.
        score_error: greatest difference of a hypothesis' score, natural logarithm.
        ties: chunks at which rounding decided between hypotheses.
        mistake: what is wrong; `None` if nothing is.
    """

    backend: str
    tokens_equal: bool
    score_error: float
    ties: tuple[Tie, ...]
    mistake: str | None


@dataclass(frozen=True)
class Drift:
    """What it changed, on the check's audio, that keys and values are kept in whole units.

    Attributes:
        cache: name of the format that they are kept in.
        signal_to_noise_db: of the encodings, against those with everything in float32.
        tokens: in float32.
        tokens_changed: insertions, deletions and substitutions from these.
        kept: values that were kept.
        other_side: of these, how many a backend rounded to the other side of a border than PyTorch, which then went on
            from the backend's.
    """

    cache: str
    signal_to_noise_db: float
    tokens: int
    tokens_changed: int
    kept: int
    other_side: int


@dataclass(frozen=True)
class Verification:
    """What the check found.

    Attributes:
        seconds: audio rolled through.
        chunks: steps of the encoder.
        num_tokens: tokens of torchaudio's best hypothesis at the end.
        tokens_equal: the best hypothesis at the end was torchaudio's on every backend; `ties` says more.
        score_error: greatest difference of a hypothesis' score, natural logarithm.
        deviations: by backend.
        ties: chunks at which rounding decided between hypotheses, of all backends; the others have torchaudio's.
        waveforms: of each backend, if it was asked for.
        drift: of a model whose cache is kept in whole units. Everything else is held against PyTorch with the same
            roundings.
        words: what these units do to the words of the recordings with transcripts, each decoded alone, by search;
            `None` if there are no such recordings.
    """

    seconds: float
    chunks: int
    num_tokens: int
    tokens_equal: bool
    score_error: float
    deviations: dict[str, Deviations]
    ties: tuple[Tie, ...]
    waveforms: tuple[WaveformVerification, ...] = ()
    drift: Drift | None = None
    words: Mapping[str, WordDrift] | None = None


def as_document(verification: Verification) -> dict[str, object]:
    """The check's outcome as it stands in the manifest and in `--json`."""
    return {
        "seconds": verification.seconds,
        "chunks": verification.chunks,
        "tokens": verification.num_tokens,
        "tokens_equal": verification.tokens_equal,
        "score_error": verification.score_error,
        "ties": [asdict(tie) for tie in verification.ties],
        "max_abs_error": {name: deviations.worst() for name, deviations in verification.deviations.items()},
        "max_abs_error_by_tensor": {name: dict(d.by_tensor) for name, d in verification.deviations.items()},
        **({"cache_drift": asdict(verification.drift)} if verification.drift else {}),
        **(
            {"cache_words": {name: asdict(words) for name, words in verification.words.items()}}
            if verification.words
            else {}
        ),
        **({"waveform": [asdict(found) for found in verification.waveforms]} if verification.waveforms else {}),
    }
