"""Configurations and statistics from outside."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from emf.export.graphs.graphs import make_graphs
from emf.export.model_config import BASE_CONFIG, geometry_of, read_config, read_global_stats
from emf.export.torchaudio_loader import load_torchaudio
from emf.runtime.errors import CheckpointError
from tests.oracle import CONFIGS, TINY, random_rnnt


def write(path: Path, document: Any) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_the_base_configuration_is_torchaudios(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every keyword of the factory, with the values that `emformer_rnnt_base` passes."""
    models = load_torchaudio().models
    passed: dict[str, Any] = {}
    assert list(inspect.signature(models.emformer_rnnt_model).parameters) == list(BASE_CONFIG)
    monkeypatch.setattr(models.rnnt, "emformer_rnnt_model", lambda **keywords: passed.update(keywords))
    models.emformer_rnnt_base(num_symbols=4097)
    assert passed == BASE_CONFIG


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_comes_back(tmp_path: Path, name: str) -> None:
    assert read_config(write(tmp_path / "model.json", CONFIGS[name])) == CONFIGS[name]


def test_weight_init_strategy_may_be_absent(tmp_path: Path) -> None:
    config = TINY | {"transformer_weight_init_scale_strategy": None}
    assert read_config(write(tmp_path / "model.json", config)) == config


@pytest.mark.parametrize(
    "document",
    ["", "{", "[]", "5", '"text"', "null", "[" * 100_000, "9" * 10_000],
    ids=lambda document: document[:9],
)
def test_no_json_object(tmp_path: Path, document: str) -> None:
    with pytest.raises(CheckpointError, match=r"model\.json: expected") as caught:
        read_config(write(tmp_path / "model.json", document))
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_config(tmp_path / "model.json")


def test_missing_and_unknown_keywords_are_named(tmp_path: Path) -> None:
    config = {("layers" if key == "num_lstm_layers" else key): value for key, value in TINY.items()}
    with pytest.raises(CheckpointError, match="missing: num_lstm_layers; unknown: layers"):
        read_config(write(tmp_path / "model.json", config))


WRONG: dict[str, list[Any]] = {
    "input_dim": [0, -1, 80.0, "80", True, None, 10**9],
    "encoding_dim": [0],
    "num_symbols": [0, 1],
    "segment_length": [0],
    "right_context_length": [-1, None],
    "time_reduction_input_dim": [0],
    "time_reduction_stride": [0, 17],
    "transformer_num_heads": [0, 5],
    "transformer_ffn_dim": [0],
    "transformer_num_layers": [0, 10**6],
    "transformer_dropout": [-0.1, 1.5, "0.1", float("nan")],
    "transformer_activation": ["tanh", None, 1],
    "transformer_left_context_length": [-1],
    "transformer_max_memory_size": [-1, 1.5],
    "transformer_weight_init_scale_strategy": ["deep", 1],
    "transformer_tanh_on_mem": [1, None],
    "symbol_embedding_dim": [0],
    "num_lstm_layers": [0],
    "lstm_layer_norm": [0, "yes"],
    "lstm_layer_norm_epsilon": [-1, None],
    "lstm_dropout": [2],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values], ids=lambda part: str(part)
)
def test_values_that_torchaudio_cannot_run(tmp_path: Path, key: str, value: Any) -> None:
    """Refused before any weight is looked at, or when the model is built; never by a traceback."""
    from emf.export.checkpoint import build_rnnt

    with pytest.raises(CheckpointError) as caught:
        config = read_config(write(tmp_path / "model.json", TINY | {key: value}))
        geometry_of(config)
        build_rnnt(config, {}, "model.pt")
    message = str(caught.value)
    assert "\n" not in message
    assert "keys are missing" not in message, "an impossible configuration must not get as far as the weights"


# The window of 1 feature frame is shorter than what the transform reflects at its edges.
@pytest.mark.parametrize(("segment", "right", "stride"), [(15, 3, 4), (4, 4, 5), (9, 1, 2), (1, 0, 1)])
def test_lengths_that_torchaudio_cannot_stream(segment: int, right: int, stride: int) -> None:
    lengths = {"segment_length": segment, "right_context_length": right, "time_reduction_stride": stride}
    with pytest.raises(CheckpointError, match="segment_length"):
        geometry_of(TINY | lengths)


@pytest.mark.parametrize("name", CONFIGS)
def test_geometry_is_that_of_the_model(name: str) -> None:
    geometry = geometry_of(CONFIGS[name])
    (encoder, _, joiner) = make_graphs(random_rnnt(**CONFIGS[name]), geometry)
    outputs = {spec.name: spec.shape for spec in (*encoder.specs(encoder.inputs)[1], *joiner.specs(joiner.inputs)[1])}
    assert outputs["encoding"] == (None, geometry.frames_per_step, geometry.encoding_dim)
    assert outputs["logits"] == (None, geometry.num_symbols - 1)


def test_global_stats(tmp_path: Path) -> None:
    path = write(tmp_path / "stats.json", {"mean": [1, 2.5], "invstddev": [0.5, 1], "other": None})
    assert read_global_stats(path, 2) == ((1.0, 2.5), (0.5, 1.0))


@pytest.mark.parametrize(
    "stats",
    [
        {},
        {"mean": [0.0, 0.0]},
        {"mean": [0.0], "invstddev": [1.0, 1.0]},
        {"mean": [0.0, 0.0], "invstddev": [1.0, 1.0, 1.0]},
        {"mean": [0.0, None], "invstddev": [1.0, 1.0]},
        {"mean": [0.0, float("nan")], "invstddev": [1.0, 1.0]},
        {"mean": [0.0, float("inf")], "invstddev": [1.0, 1.0]},
        {"mean": [0.0, True], "invstddev": [1.0, 1.0]},
        {"mean": [0.0, 10**400], "invstddev": [1.0, 1.0]},
        {"mean": "00", "invstddev": [1.0, 1.0]},
        [],
    ],
    ids=lambda stats: str(stats)[:40],
)
def test_statistics_that_do_not_fit(tmp_path: Path, stats: Any) -> None:
    with pytest.raises(CheckpointError, match=r"stats\.json: expected") as caught:
        read_global_stats(write(tmp_path / "stats.json", stats), 2)
    assert "\n" not in str(caught.value)
