"""Floors of a made-up model on made-up machines, where all arithmetic can be done by hand."""

from dataclasses import replace

import pytest

from emf.runtime.artifact.manifest import (
    FileSpec,
    Frontend,
    Geometry,
    GraphSpec,
    Manifest,
    StateSpec,
    TensorSpec,
    Vocabulary,
)
from emf.runtime.artifact.variant import Variant
from emf.runtime.measure.bandwidth import measure_bandwidth, measure_float_products, measure_integer_products
from emf.runtime.measure.floor import ChunkWork, MachineRates
from emf.runtime.recognition.options import RecognizerOptions

FLOAT, INT8 = Variant("openvino", "fp32"), Variant("openvino", "int8")
# Symbols 11, embedding 6, one LSTM layer less than the base model: 2 of size 4, prediction of size 5.
TABLE, LSTMS, OUTPUT = 11 * 6, 4 * 4 * (6 + 4) + 4 * 4 * (4 + 4), 4 * 5
PREDICTOR = TABLE + LSTMS + OUTPUT
ENCODER, JOINER = 1000, 60
CACHE = 2 * 3 * 4  # bytes read of a stream's cache; half of them are written
LENGTH = 8


def graph(name: str, variant: Variant, weights: int) -> GraphSpec:
    """A graph of so many weights, its states those of a cache of 2 x 3 and an LSTM of 2 layers."""
    size = 4 * weights if variant.is_float else weights
    files = (FileSpec(f"{name}.xml", 777, ""), FileSpec(f"{name}.bin", size, ""))
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    states: tuple[StateSpec, ...] = ()
    if name == "encoder":
        inputs = (TensorSpec("length", "int64", (None,)), TensorSpec("cache", "float32", (2, None, 3)))
        outputs = (TensorSpec("new_length", "int64", (None,)), TensorSpec("new_cache", "float16", (2, None, 3)))
        states = (StateSpec("length", "new_length"), StateSpec("cache", "new_cache", "ring", 2))
    elif name == "predictor":
        inputs = (TensorSpec("token", "int64", (None,)), TensorSpec("lstm", "float32", (None, 2, 2, 4)))
        outputs = (TensorSpec("new_lstm", "float32", (None, 2, 2, 4)),)
        states = (StateSpec("lstm", "new_lstm"),)
    return GraphSpec(name, variant.backend, variant.precision, files, inputs, outputs, states)


def graphs(variant: Variant) -> tuple[GraphSpec, ...]:
    counts = {"encoder": ENCODER, "predictor": PREDICTOR, "joiner": JOINER}
    return tuple(graph(name, variant, count) for name, count in counts.items())


MANIFEST = Manifest(
    Geometry(80, 16, 4, 30, 0, 4, encoding_dim=5, num_symbols=11),
    Frontend(16_000, 400, 160, 80, (0.0,), (1.0,)),
    Vocabulary(FileSpec("tokens.txt", 1, ""), 10, ()),
    (*graphs(FLOAT), *graphs(INT8)),
)
STATE = CACHE + CACHE // 2 + 2 * LENGTH


@pytest.mark.parametrize(("variant", "size"), [(FLOAT, 4), (INT8, 1)], ids=str)
def test_bytes_are_the_variants_own(variant: Variant, size: int) -> None:
    """Encoder and joiner once, the predictor without its table; what describes the graphs is not read again."""
    work = ChunkWork.of(MANIFEST, variant, RecognizerOptions())
    assert work.weight_bytes == size * (ENCODER + JOINER + LSTMS + OUTPUT)
    assert work.state_bytes == STATE


@pytest.mark.parametrize(
    ("options", "hypotheses"),
    [
        (RecognizerOptions(), 10),
        (RecognizerOptions(decoding_method="modified_beam", beam_width=4), 4),
        (RecognizerOptions(beam_threshold=4.0), 1),
        (RecognizerOptions(decoding_method="greedy"), 1),
    ],
    ids=["beam", "modified beam", "threshold", "greedy"],
)
def test_products_are_those_of_the_least_rows(options: RecognizerOptions, hypotheses: int) -> None:
    """Five frames with the right context through the encoder, four frames of each hypothesis through the joiner."""
    for variant in (FLOAT, INT8):
        products = ChunkWork.of(MANIFEST, variant, options).products
        assert products == 5 * ENCODER + 4 * hypotheses * JOINER + LSTMS + OUTPUT


def test_without_a_float_variant_nobody_knows_how_many_weights_there_are() -> None:
    work = ChunkWork.of(replace(MANIFEST, graphs=graphs(INT8)), INT8, RecognizerOptions())
    assert work.products is None and work.weight_bytes == ENCODER + JOINER
    floor = work.floor(MachineRates(1e6, 1e9))
    assert floor.arithmetic_ms is None and floor.floor_ms == floor.memory_ms


def test_streams_share_weights_and_nothing_else() -> None:
    work = ChunkWork(weight_bytes=8000, state_bytes=100, products=3000)
    rates = MachineRates(read_bytes_per_second=1e6, products_per_second=1e6)
    alone, many = work.floor(rates), work.floor(rates, streams=8)
    assert (alone.memory_ms, alone.arithmetic_ms) == pytest.approx((8.1, 3.0))
    assert (many.memory_ms, many.arithmetic_ms) == pytest.approx((1.1, 3.0))
    assert (alone.floor_ms, many.floor_ms) == pytest.approx((8.1, 3.0)), "the slower of memory and arithmetic"
    assert work.floor(MachineRates(1e6, None), 8).floor_ms == pytest.approx(1.1)


def test_this_machine_has_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1e8 < measure_bandwidth(1) < 1e13
    assert 1e8 < measure_float_products(1) < 1e13
    integers = measure_integer_products(1)
    assert integers is not None and 1e8 < integers < 1e14
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert measure_integer_products(1) is None
