"""Calibration that walks the state: the float model decodes real audio, and its graphs' inputs are kept.

A transducer quantized on zero states loses words, because the ranges it then knows are not those
of a running stream. So the float runtime decodes with beam search, and what is recorded are the
inputs that the three graphs really got: with empty and with full left context, in the flush at
the end, and for all hypotheses of the beam, not only the best.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from emf.quantize.corpus import load_samples, require_speech
from emf.quantize.recording import Recorder, Recording
from emf.runtime.arrays import Arrays, FloatArray
from emf.runtime.artifact.files import sha256_of
from emf.runtime.artifact.manifest import GRAPH_NAMES, GraphSpec, Manifest
from emf.runtime.errors import AudioError
from emf.runtime.options import check_options, option
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.speech.utterances import Utterance

ENOUGH_SECONDS = 30.0
ENOUGH_TOKENS = 50
ENOUGH_RATE = 0.5
"""Tokens a second; slowly read digits have three times as many."""

_LOGGER = logging.getLogger(__name__)
Progress = Callable[[Sequence[Utterance]], Iterable[Utterance]]


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """What to record; the help of each field says what it does."""

    num_samples: int = option(300, "Keep this many inputs of each graph.", low=1, high=100_000)
    seed: int = option(0, "Choose the inputs, and the order of utterances, with this seed.", low=0, high=2**31)
    beam_width: int = option(10, "Record the hypotheses of a search of this width.", low=1, high=1000)
    max_seconds: float = option(600.0, "Decode whole utterances until this much audio is reached.", low=0.0, high=1e6)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Recorded inputs, and where they come from.

    Attributes:
        samples: of each graph: real calls, every tensor with the batch it had.
        description: JSON document: files with hashes, counts, seeds.
    """

    samples: Mapping[str, tuple[Arrays, ...]]
    description: Mapping[str, Any]


def calibrate(
    manifest: Manifest, utterances: Sequence[Utterance], options: CalibrationOptions, progress: Progress = iter
) -> CalibrationSet:
    """Decode the utterances with the float graphs and record their inputs.

    Args:
        manifest: of an artifact with a float variant.
        utterances: speech, of which a random part is decoded if there is more than needed.
        options: how much to decode and to keep.
        progress: wraps the loop over utterances.

    Raises:
        AudioError: there is no audio, it is silence, or the model recognises nothing in it.
    """
    rings = {state.input: state.rows for state in _encoder(manifest).states if state.rows}
    recorders = {
        name: Recorder(options.num_samples, options.seed, rings if name == "encoder" else None) for name in GRAPH_NAMES
    }
    recognizer = Recognizer.load(manifest.root, beam_width=options.beam_width, instrument=Recording(recorders))
    digest, seconds, peak, num_tokens = hashlib.sha256(), 0.0, 0.0, 0
    files = []
    order = np.random.default_rng(options.seed).permutation(len(utterances))
    for utterance in progress([utterances[index] for index in order]):
        if seconds >= options.max_seconds:
            break
        samples = load_samples(utterance, recognizer.sample_rate)
        seconds += len(samples) / recognizer.sample_rate
        peak = max(peak, float(np.max(np.abs(samples), initial=0.0)))
        file = {"name": utterance.path.name, "sha256": sha256_of(utterance.path)}
        files.append(file)
        digest.update(file["sha256"].encode())
        num_tokens += _roll(recognizer, recorders, samples)
    folder = utterances[0].path.parent
    require_speech(peak, str(folder))
    _require_words(num_tokens, seconds, str(folder))
    description = {
        **asdict(options),
        "files": files,
        "files_sha256": digest.hexdigest(),
        "seconds": round(seconds, 3),
        "tokens": num_tokens,
        "samples": {name: recorder.counts() for name, recorder in recorders.items()},
    }
    return CalibrationSet({name: recorder.samples() for name, recorder in recorders.items()}, description)


def _encoder(manifest: Manifest) -> GraphSpec:
    return next(graph for graph in manifest.graphs if graph.name == "encoder")


def _roll(recognizer: Recognizer, recorders: Mapping[str, Recorder], samples: FloatArray) -> int:
    """Decode one utterance from its first chunk through its flush; how many tokens were recognised."""
    geometry = recognizer.transducer.manifest.geometry

    def decode(flush: bool) -> None:
        while recognizer.is_ready(stream):
            filling = stream.state.clock.step * geometry.frames_per_step < geometry.left_context_length
            for recorder in recorders.values():
                recorder.stage = "first" if filling else "flush" if flush else "full_context"
            recognizer.decode_streams([stream])

    stream = recognizer.create_stream()
    stream.accept_waveform(recognizer.sample_rate, samples)
    decode(flush=False)
    stream.input_finished()
    decode(flush=True)
    return len(recognizer.get_result(stream).token_ids)


def _require_words(num_tokens: int, seconds: float, where: str) -> None:
    """Refuse audio in which nothing is recognised, and warn of audio in which hardly anything is.

    The calls of the predictor would not tell: a beam search extends hypotheses that it drops again.

    Raises:
        AudioError: no token was recognised.
    """
    if not num_tokens:
        raise AudioError(
            f"{where}: expected speech that the model recognises, but it gave no token in "
            f"{seconds:.1f} s; name audio of the model's language and domain"
        )
    if seconds < ENOUGH_SECONDS or num_tokens < ENOUGH_TOKENS or num_tokens < ENOUGH_RATE * seconds:
        _LOGGER.warning(
            "%s: %d tokens recognised in %.1f s are little to calibrate on, and the variant may lose words that the "
            "float model hears; name at least a minute of speech, and compare the variants with emf-report",
            where,
            num_tokens,
            seconds,
        )
