"""Why weights of 8 or 4 bits ran as float32 in OpenVINO, and what reading them as they are stored gives.

Example:
    python tools/try_openvino_weights.py artifacts/base --audio librispeech/manifest.tsv --batches 1,4,16

Each way compiles the encoder of one variant for one size of batch; all ways of a size run in turns, on real inputs.
A row says the median of a step, how many products of matrices ran with float32 weights, and the ratio of signal to
noise of the encodings against fp32 on the same inputs. `reshape` sets the size with `Model.reshape`, which makes
float32 of weights that a reshaped matrix is multiplied by; all others set it as the runtime does. `dq` is
`DYNAMIC_QUANTIZATION_GROUP_SIZE`: activations of a row that share a scale of 8 bits, 0 for none.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from emf.quantize.corpus import load_samples, read_corpus
from emf.quantize.graphs.check import decibels
from emf.quantize.report.drift import encoder_inputs
from emf.runtime import Recognizer
from emf.runtime.arrays import Array
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.session_openvino import compile_graph

_WAYS = (
    ("fp32", "reshape", 0),
    ("fp32", "", 0),
    ("int8", "reshape", 0),
    ("int8", "", 0),
    ("int8-weight", "reshape", 64),
    *(("int8-weight", "", group) for group in (0, 32, 64, 128, 256, 512)),
    ("int4-weight", "reshape", 64),
    *(("int4-weight", "", group) for group in (0, 32, 64, 128, 256, 512)),
)


def _compile(manifest: Manifest, way: tuple[str, str, int], rows: int, threads: int) -> Any:
    precision, how, group = way
    graph = manifest.variant(Variant("openvino", precision))["encoder"]
    tensors = (*graph.inputs, *graph.outputs)
    axes = {tensor.name: tensor.batch_axis for tensor in tensors}
    model = openvino.Core().read_model(str(manifest.path(graph.files[0])))
    if how == "reshape":
        shapes = {port.any_name: list(port.partial_shape) for port in model.inputs}
        model.reshape({n: [rows if i == axes[n] else d for i, d in enumerate(s)] for n, s in shapes.items()})
    asked = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(group),
    }
    return compile_graph(model, rows, {tensor.name: tensor.shape for tensor in tensors}, asked, None)


def _float_products(compiled: Any) -> str:
    """Products of a matrix with constant weights in float32, of all with constant weights."""
    kinds = []
    for op in compiled.get_runtime_model().get_ordered_ops():
        if op.get_rt_info()["layerType"].astype(str) == "FullyConnected":
            kinds.append(op.input_value(1).get_element_type().get_type_name())
    return f"{kinds.count('f32')} of {len(kinds)}"


def _side_by_side(inputs: Sequence[Mapping[str, Array]], axes: Mapping[str, int]) -> dict[str, Array]:
    return {name: np.concatenate([one[name] for one in inputs], axes[name]) for name in inputs[0]}


def main() -> None:
    """Print one table for each size of batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path, help="with the variants fp32, int8, int8-weight and int4-weight")
    parser.add_argument("--audio", type=Path, required=True, help="manifest.tsv of speech")
    parser.add_argument("--batches", default="1,4,16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    recognizer = Recognizer.load(options.artifact, backend="openvino", precision="fp32", beam_width=1)
    manifest = recognizer.transducer.manifest
    utterances = read_corpus(options.audio)[:4]
    samples = np.concatenate([load_samples(utterance, recognizer.sample_rate) for utterance in utterances])
    recorded = encoder_inputs(recognizer, samples, 128)[16:]
    graph = manifest.variant(Variant("openvino", "fp32"))["encoder"]
    axes = {tensor.name: tensor.batch_axis for tensor in graph.inputs}
    for rows in map(int, options.batches.split(",")):
        batches = [_side_by_side(recorded[i : i + rows], axes) for i in range(0, len(recorded) - rows + 1, rows)]
        _compare(manifest, rows, batches, options.threads, options.rounds)


def _compare(manifest: Manifest, rows: int, batches: Sequence[Mapping[str, Array]], threads: int, rounds: int) -> None:
    found = [way for way in _WAYS if Variant("openvino", way[0]) in manifest.variants]
    compiled = [_compile(manifest, way, rows, threads) for way in found]
    requests = [model.create_infer_request() for model in compiled]
    expected: list[npt.NDArray[np.float64]] = []
    noise, signal = [0.0] * len(found), [0.0] * len(found)
    for batch in batches[:8]:
        for index, request in enumerate(requests):
            output: npt.NDArray[np.float64] = np.array(request.infer(dict(batch))["encoding"], np.float64)
            if index == 0:
                expected.append(output)
            signal[index] += float(np.sum(np.square(expected[-1])))
            noise[index] += float(np.sum(np.square(output - expected[-1])))
    times: list[list[float]] = [[] for _ in found]
    for turn in range(rounds):
        batch = dict(batches[turn % len(batches)])
        for index, request in enumerate(requests):
            begin = time.perf_counter()
            request.infer(batch, share_inputs=True, share_outputs=True)
            times[index].append(1e3 * (time.perf_counter() - begin))
    sys.stdout.write(
        f"\n| encoder, batch of {rows} | dq | float32 products | p50 ms | of int8 | dB |\n|---|---|---|---|---|---|\n"
    )
    base = statistics.median(times[found.index(("int8", "", 0))])
    for index, (precision, how, group) in enumerate(found):
        median = statistics.median(times[index])
        name = f"{precision} {how}".strip()
        sys.stdout.write(
            f"| {name} | {group} | {_float_products(compiled[index])} | {median:.2f} | {median / base:.2f} "
            f"| {decibels(signal[index], noise[index]):.1f} |\n"
        )


if __name__ == "__main__":
    main()
