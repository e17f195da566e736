"""The mean of trained models' weights."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from average_demo import average


def write_model(folder: Path, weights: float, pieces: str = "a b") -> Path:
    folder.mkdir()
    for name in ("global_stats.json", "tokens.model", "model.json"):
        (folder / name).write_text("{}")
    (folder / "tokens.txt").write_text(pieces)
    torch.save({"joiner.weight": torch.full((2, 3), weights).half()}, folder / "model.pt")
    return folder


def test_weights_are_averaged_and_the_rest_is_kept(tmp_path: Path) -> None:
    average([write_model(tmp_path / str(weights), weights) for weights in (1.0, 2.0, 6.0)], tmp_path / "out")
    state = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    assert state["joiner.weight"].dtype == torch.float16
    assert torch.equal(state["joiner.weight"], torch.full((2, 3), 3.0).half())
    assert (tmp_path / "out" / "tokens.txt").read_text() == "a b"


def test_models_with_other_tokens_are_refused(tmp_path: Path) -> None:
    models = [write_model(tmp_path / "a", 1.0), write_model(tmp_path / "b", 1.0, pieces="b a")]
    with pytest.raises(SystemExit, match=r"same tokens\.txt"):
        average(models, tmp_path / "out")
    assert not (tmp_path / "out").exists()
