"""Checkpoints from outside: nothing of them runs, and whatever does not fit is told in one line."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from emf.export.checkpoint import build_rnnt, load_state_dict
from emf.runtime.errors import CheckpointError
from tests.oracle import CONFIGS, random_rnnt

CONFIG = CONFIGS["left-below-segment"]
EXECUTED: list[str] = []


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return EXECUTED.append, ("executed",)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    """The state_dict of a tiny model."""
    return {key: value.clone() for key, value in random_rnnt(**CONFIG).state_dict().items()}


def build(weights: dict[str, Any], config: dict[str, Any] = CONFIG) -> Any:
    return build_rnnt(config, weights, "model.pt")


def save(path: Path, document: Any) -> Path:
    torch.save(document, path)
    return path


@pytest.mark.parametrize("form", [dict, OrderedDict])
def test_a_state_dict_comes_back(tmp_path: Path, weights: dict[str, torch.Tensor], form: type) -> None:
    loaded = load_state_dict(save(tmp_path / "model.pt", form(weights)))
    assert loaded.keys() == weights.keys()
    rnnt = build(loaded)
    assert not rnnt.training
    for key, value in rnnt.state_dict().items():
        torch.testing.assert_close(value, weights[key], rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_becomes_float32(
    tmp_path: Path, weights: dict[str, torch.Tensor], dtype: torch.dtype
) -> None:
    path = save(tmp_path / "model.pt", {key: value.to(dtype) for key, value in weights.items()})
    rnnt = build(load_state_dict(path))
    assert {value.dtype for value in rnnt.state_dict().values()} == {torch.float32}


WRAPPINGS = {
    "lightning": "model.{}",
    "parallel": "module.{}",
    "compiled": "_orig_mod.{}",
    "lightning, compiled": "model._orig_mod.{}",
    "compiled, lightning": "_orig_mod.model.{}",
    "lightning, parallel, compiled": "model.module._orig_mod.{}",
}


@pytest.mark.parametrize("inside", [True, False], ids=["in a checkpoint", "alone"])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_wrapped_model(tmp_path: Path, weights: dict[str, torch.Tensor], wrapping: str, inside: bool) -> None:
    state_dict = {WRAPPINGS[wrapping].format(key): value for key, value in weights.items()}
    lightning = {"state_dict": state_dict, "epoch": 7, "optimizer_states": [{"state": {}}], "callbacks": {"x": "y"}}
    loaded = load_state_dict(save(tmp_path / "last.ckpt", lightning if inside else state_dict))
    assert loaded.keys() == weights.keys()
    assert build(loaded).state_dict().keys() == weights.keys()


def test_a_compiled_part(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    state_dict = {key.replace("joiner.", "joiner._orig_mod."): value for key, value in weights.items()}
    assert load_state_dict(save(tmp_path / "model.pt", state_dict)).keys() == weights.keys()


def test_what_lies_beside_a_wrapped_model_is_left_out(
    tmp_path: Path, weights: dict[str, torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    state_dict = {f"model.{key}": value for key, value in weights.items()} | {"loss.scale": torch.zeros(1)}
    assert load_state_dict(save(tmp_path / "last.ckpt", {"state_dict": state_dict})).keys() == weights.keys()
    assert "loss.scale" in caplog.text


def test_two_models_in_one_file(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    state_dict = {f"{name}.{key}": value for key, value in weights.items() for name in ("model", "module")}
    with pytest.raises(CheckpointError, match="found several"):
        load_state_dict(save(tmp_path / "last.ckpt", {"state_dict": state_dict}))


def test_hyper_parameters_that_are_code(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    EXECUTED.clear()
    with pytest.raises(CheckpointError, match=r"\['state_dict'\], 'weights\.pt'\)") as caught:
        load_state_dict(save(tmp_path / "last.ckpt", {"state_dict": weights, "hyper_parameters": {"a": Trap()}}))
    assert EXECUTED == [] and "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, protocol: int, zipped: bool) -> None:
    path = tmp_path / "model.pt"
    torch.save({"weight": Trap()}, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    EXECUTED.clear()
    with pytest.raises(CheckpointError, match="without running code") as caught:
        load_state_dict(path)
    assert EXECUTED == []
    assert "\n" not in str(caught.value)


def test_a_plain_pickle_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"weight": Trap()}))
    EXECUTED.clear()
    with pytest.raises(CheckpointError):
        load_state_dict(path)
    assert EXECUTED == []


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        5,
        "weights",
        torch.zeros(3),
        [torch.zeros(3)],
        {"state_dict": {}},
        {"state_dict": {"a": 7}},
        {"a": torch.zeros(3), "epoch": 7},
    ],
    ids=lambda document: repr(document)[:30],
)
def test_something_else_than_a_state_dict(tmp_path: Path, document: Any) -> None:
    with pytest.raises(CheckpointError, match="state_dict"):
        load_state_dict(save(tmp_path / "model.pt", document))


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"save model\.state_dict\(\)"):
        load_state_dict(save(tmp_path / "model.pt", random_rnnt(**CONFIG)))


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", b"PK\x03\x04garbage", bytes(30)],
    ids=["empty", "text", "zip", "zeros"],
)
def test_files_that_are_no_checkpoints(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.pt") as caught:
        load_state_dict(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_checkpoint(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    path = save(tmp_path / "model.pt", weights)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError):
        load_state_dict(path)


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError):
        load_state_dict(path)


@pytest.mark.parametrize("path", ["nowhere.pt", "."])
def test_no_such_file(tmp_path: Path, path: str) -> None:
    with pytest.raises(CheckpointError, match=r"expected demo, librispeech or a checkpoint file"):
        load_state_dict(tmp_path / path)


KEY = "joiner.linear.weight"
WRONG_WEIGHTS: dict[str, torch.Tensor] = {
    "wrong shape": torch.zeros(6, 23),
    "scalar": torch.zeros(()),
    "nan": torch.full((6, 24), float("nan")),
    "infinite": torch.full((6, 24), float("inf")),
    "integers": torch.zeros(6, 24, dtype=torch.int64),
    "booleans": torch.zeros(6, 24, dtype=torch.bool),
    "complex": torch.zeros(6, 24, dtype=torch.complex64),
    "sparse": torch.zeros(6, 24).to_sparse(),
    "meta": torch.zeros(6, 24, device="meta"),
}


@pytest.mark.parametrize("name", WRONG_WEIGHTS)
def test_weights_that_do_not_fit(tmp_path: Path, weights: dict[str, torch.Tensor], name: str) -> None:
    weights[KEY] = WRONG_WEIGHTS[name]
    with pytest.raises(CheckpointError, match="expected") as caught:
        build(load_state_dict(save(tmp_path / "model.pt", weights)))
    assert KEY in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_unexpected_keys_are_named(weights: dict[str, torch.Tensor]) -> None:
    del weights[KEY]
    weights["head.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=rf"1 keys are missing \({KEY}\), 1 are unexpected \(head\.weight\)"):
        build(weights)


def test_weights_of_another_configuration(weights: dict[str, torch.Tensor]) -> None:
    with pytest.raises(CheckpointError, match="check --config"):
        build(weights, CONFIGS["like-base"])
