"""The encoder alone, rolled over audio with its states chained: how it drifts, and what its inputs are."""

from collections.abc import Iterator

import numpy as np

from emf.quantize.graphs.check import decibels
from emf.runtime.arrays import Array, FloatArray
from emf.runtime.audio.sample_buffer import SampleBuffer
from emf.runtime.recognition.recognizer import Recognizer


def steps(recognizer: Recognizer, samples: FloatArray) -> Iterator[FloatArray]:
    """Features of one step after the other, each of shape (1, segment + right context, n_mels)."""
    extractor = recognizer.settings.extractor
    buffer, step = SampleBuffer(samples, finished=True), 0
    while extractor.is_ready(buffer, step):
        yield extractor.extract(buffer, step)[None]
        step += 1


def encoder_inputs(recognizer: Recognizer, samples: FloatArray, count: int) -> list[dict[str, Array]]:
    """The encoder's real inputs in the last of the first `count` steps, states included."""
    transducer = recognizer.transducer
    state = transducer.initial_encoder_state()
    own_row = {tensor.spec.rows: np.zeros(1, np.int64) for tensor in state.layout if tensor.spec.rows}
    inputs: list[dict[str, Array]] = []
    for features, _ in zip(steps(recognizer, samples), range(count), strict=False):
        arrays = {name: np.array(array, np.dtype(array.dtype.name)) for name, array in state.arrays.items()}
        inputs.append({"features": features, **arrays, **own_row})
        transducer.encode(features, [state])
    return inputs


def encoder_drift(reference: Recognizer, variant: Recognizer, samples: FloatArray) -> list[float]:
    """How far the variant's encoder strays from the float one's as time goes on, each with its own states.

    Args:
        reference: the float variant.
        variant: the other one.
        samples: mono audio at the model's rate, one stream.

    Returns:
        Ratio of signal to noise of the encodings, decibels, for every minute of audio begun.
    """
    steps_per_minute = 60 / reference.transducer.manifest.seconds_per_step
    expected_state = reference.transducer.initial_encoder_state()
    found_state = variant.transducer.initial_encoder_state()
    sums: dict[int, list[float]] = {}
    for step, features in enumerate(steps(reference, samples)):
        expected = reference.transducer.encode(features, [expected_state])
        found = variant.transducer.encode(features, [found_state])
        entry = sums.setdefault(int(step / steps_per_minute), [0.0, 0.0])
        entry[0] += float(np.sum(np.square(expected, dtype=np.float64)))
        entry[1] += float(np.sum(np.square(np.subtract(found, expected, dtype=np.float64))))
    return [decibels(signal, noise) for signal, noise in sums.values()]
