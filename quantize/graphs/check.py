"""Does a new graph take and give what its specification says, and how far is it from the float graph?"""

from collections.abc import Mapping, Sequence

import numpy as np

from emf.runtime.arrays import Array, Arrays
from emf.runtime.artifact.manifest import GraphSpec, Manifest
from emf.runtime.errors import ArtifactError, UsageError
from emf.runtime.inference.session import check, open_session
from emf.runtime.inference.threads import resolve_num_threads

MAX_SIGNAL_TO_NOISE = 150.0
_MAX_SAMPLES = 64


def check_graph(
    source_manifest: Manifest, source: GraphSpec, manifest: Manifest, graph: GraphSpec, samples: Sequence[Arrays]
) -> dict[str, float]:
    """Run the float graph and the new one on the same inputs.

    Args:
        source_manifest: of the float graph.
        source: the float graph.
        manifest: of the new graph.
        graph: the new graph.
        samples: recorded inputs; none gives one run on plain inputs.

    Returns:
        Of each float output the ratio of signal to quantization noise over the samples, in
        decibels, at most 150; empty without samples.

    Raises:
        ArtifactError: an output has another shape or element type, or is not finite.
    """
    threads = resolve_num_threads(None)
    reference = open_session(source_manifest, source, threads)
    session = open_session(manifest, graph, threads)
    names = [tensor.name for tensor in graph.outputs]
    signal = dict.fromkeys(names, 0.0)
    noise = dict.fromkeys(names, 0.0)
    for inputs in _spread(samples) or [_plain_inputs(graph)]:
        outputs = session.run(inputs, names)
        _check_outputs(graph, outputs)
        if not samples:
            return {}
        for name, expected in reference.run(inputs, names).items():
            signal[name] += float(np.sum(np.square(expected, dtype=np.float64)))
            noise[name] += float(np.sum(np.square(np.subtract(outputs[name], expected, dtype=np.float64))))
    floats = [tensor.name for tensor in graph.outputs if tensor.dtype == "float32"]
    return {name: decibels(signal[name], noise[name]) for name in floats}


def _spread(samples: Sequence[Arrays]) -> list[Arrays]:
    """Some of the samples, from all stages of the stream."""
    return list(samples[:: max(1, -(-len(samples) // _MAX_SAMPLES))])


def _plain_inputs(graph: GraphSpec) -> dict[str, Array]:
    """Ones, and zeros for what counts or names: a batch of two."""
    fill = {tensor.name: float(tensor.dtype == "float32") for tensor in graph.inputs}
    return {t.name: np.full(tuple(size or 2 for size in t.shape), fill[t.name], t.dtype) for t in graph.inputs}


def _check_outputs(graph: GraphSpec, outputs: Mapping[str, Array]) -> None:
    try:
        for tensor in graph.outputs:
            check(outputs[tensor.name], tensor)
    except UsageError as error:
        raise ArtifactError(f"{graph.variant}/{graph.name}: {error}; report this model") from error
    for name, array in outputs.items():
        if not np.isfinite(array).all():
            raise ArtifactError(
                f"{graph.variant}/{graph.name}: expected finite values of {name}, found others; "
                "leave this component in fp32 with --components"
            )


def decibels(signal: float, noise: float) -> float:
    """Ratio of two powers in decibels, at most 150."""
    if noise <= 0.0 or signal <= 0.0:
        return MAX_SIGNAL_TO_NOISE
    return round(min(MAX_SIGNAL_TO_NOISE, 10.0 * float(np.log10(signal / noise))), 2)
