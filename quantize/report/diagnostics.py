"""What a report tells of a variant beside its words and times: drift, operators, streams in real time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emf.quantize.corpus import load_samples
from emf.quantize.fresh_process import call_in_fresh_process
from emf.quantize.recipe import GraphRecipe, Recipe
from emf.quantize.report.drift import encoder_drift, encoder_inputs
from emf.quantize.report.operators import float32_products, profile_graph
from emf.quantize.report.rows import Diagnostics
from emf.quantize.variant import PROVENANCE
from emf.runtime.arrays import FloatArray
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.measure.capacity import find_capacity
from emf.runtime.measure.paced_load import run_load
from emf.runtime.recognition.decoding import Decoding
from emf.runtime.recognition.recognizer import Recognizer
from emf.runtime.speech.utterances import Utterance

PROFILED_STEPS = 30


@dataclass(frozen=True, slots=True)
class ExamineOptions:
    """How long to look.

    Attributes:
        drift_seconds: audio for the drift of the encoder.
        load_seconds: how long each number of streams runs; 0 leaves the search for their number out.
        deadline: greatest p99 latency of a chunk under load, seconds.
    """

    drift_seconds: float = 180.0
    load_seconds: float = 0.0
    deadline: float = 0.16


def examine(
    artifact: Path, variant: Variant, utterances: Sequence[Utterance], decoding: Decoding, options: ExamineOptions
) -> Diagnostics:
    """Look at one variant in a new process."""
    return call_in_fresh_process(examine_here, artifact, variant, tuple(utterances), decoding, options)


def examine_here(
    artifact: Path, variant: Variant, utterances: Sequence[Utterance], decoding: Decoding, options: ExamineOptions
) -> Diagnostics:
    """Look at one variant in this process."""
    recognizer = decoding.of_variant(variant).open(artifact)
    reference = decoding.of_variant(variant.float_variant).open(artifact)
    recordings = _recordings(utterances, recognizer.sample_rate, options.drift_seconds)
    samples = np.concatenate(recordings)
    transducer = recognizer.transducer
    operators = profile_graph(
        transducer.manifest,
        transducer.graphs["encoder"],
        encoder_inputs(recognizer, samples, PROFILED_STEPS),
        decoding.options.threads,
    )
    return Diagnostics(
        drift_db=tuple(encoder_drift(reference, recognizer, samples)),
        operators=tuple(operators),
        float32_products=float32_products(operators, _encoder_recipe(transducer.manifest, variant)),
        streams_realtime=_capacity(recognizer, recordings, options),
    )


def _encoder_recipe(manifest: Manifest, variant: Variant) -> GraphRecipe | None:
    """How the variant's encoder was quantized, where the manifest says so."""
    record = manifest.provenance.get(PROVENANCE, {}).get(str(variant))
    return None if record is None else Recipe.from_document(record["recipe"]).graphs["encoder"]


def _recordings(utterances: Sequence[Utterance], sample_rate: int, seconds: float) -> list[FloatArray]:
    """Recordings up to a total length; at least one."""
    found: list[FloatArray] = []
    for utterance in utterances:
        if found and sum(map(len, found)) >= seconds * sample_rate:
            break
        found.append(load_samples(utterance, sample_rate))
    return found


def _capacity(recognizer: Recognizer, recordings: Sequence[FloatArray], options: ExamineOptions) -> int | None:
    if options.load_seconds <= 0:
        return None
    streams, _ = find_capacity(
        lambda count: run_load(recognizer, recordings, count, options.load_seconds, options.deadline),
        options.deadline,
    )
    return streams
