"""What `--model` names: the demo, the LibriSpeech bundle, a checkpoint; and what goes with it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch

from emf.export.model import load_checkpoint, load_model
from emf.export.torchaudio_loader import load_torchaudio
from emf.runtime.artifact.confidence import ConfidenceCurve
from emf.runtime.artifact.files import describe_file, sha256_of
from emf.runtime.artifact.manifest import Manifest, Vocabulary
from emf.runtime.artifact.tokens import write_tokens
from emf.runtime.errors import CheckpointError, EmfError, UsageError
from tests.oracle import CONFIGS, source

NAME = "left-below-segment"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A tiny model as a user has it."""
    model = source(NAME)
    paths = {key: tmp_path / name for key, name in FILES.items()}
    torch.save(model.rnnt.state_dict(), paths["name"])
    paths["config"].write_text(json.dumps(CONFIGS[NAME]), encoding="utf-8")
    write_tokens(paths["tokens"], ("<unk>", *"abcd"))
    stats = {"mean": model.frontend.mean, "invstddev": model.frontend.invstddev}
    paths["global_stats"].write_text(json.dumps(stats), encoding="utf-8")
    return paths


FILES = {"name": "model.pt", "config": "model.json", "tokens": "tokens.txt", "global_stats": "stats.json"}


def load(files: dict[str, Path], **others: Any) -> Any:
    return load_model(**{**files, "name": str(files["name"]), **others})


def test_a_checkpoint_with_all_that_belongs_to_it(files: dict[str, Path]) -> None:
    model, expected = load(files), source(NAME)
    assert model.name == "model.pt"
    assert model.geometry == expected.geometry
    assert model.frontend.mean == pytest.approx(expected.frontend.mean)
    assert model.pieces.pieces == ("<unk>", "a", "b", "c", "d", "<blank>")
    assert model.pieces.hidden_ids == (0, 5)
    assert model.checkpoint_sha256 == sha256_of(files["name"])
    for key, value in model.rnnt.state_dict().items():
        torch.testing.assert_close(value, expected.rnnt.state_dict()[key], rtol=0, atol=0)


def test_without_tokens_and_statistics_it_warns(files: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    model = load(files, tokens=None, global_stats=None)
    assert model.pieces.pieces == ("\u25810", "\u25811", "\u25812", "\u25813", "\u25814", "<blank>")
    assert set(model.frontend.mean) == {0.0}
    assert set(model.frontend.invstddev) == {1.0}
    assert "--tokens" in caplog.text
    assert "--global-stats" in caplog.text


@pytest.mark.parametrize("frontend", [None, "windowed", "continuous"])
def test_default_frontend(files: dict[str, Path], frontend: str | None) -> None:
    assert load(files, default_frontend=frontend).frontend.default == (frontend or "windowed")


@pytest.mark.parametrize("missing", FILES)
def test_missing_files_are_named(files: dict[str, Path], missing: str) -> None:
    files[missing].unlink()
    with pytest.raises(EmfError, match=FILES[missing].replace(".", r"\.")) as caught:
        load(files)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["demon", "LibriSpeech", "", "/"])
def test_unknown_models(name: str) -> None:
    with pytest.raises(CheckpointError, match="expected demo, librispeech or a checkpoint file") as caught:
        load_model(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["demo", "librispeech"])
@pytest.mark.parametrize("flag", ["config", "tokens", "global_stats"])
def test_bundled_models_bring_their_own(name: str, flag: str) -> None:
    with pytest.raises(UsageError, match="brings its own"):
        load_model(name, **{flag: Path("file")})  # type: ignore[arg-type]


def test_the_demo_brings_its_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one was measured, it lies beside the checkpoint."""
    for path in (Path(__file__).parents[2] / "export" / "demo").iterdir():
        if path.is_file():
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "confidence.json").unlink(missing_ok=True)
    monkeypatch.setattr("emf.export.model.resources.files", lambda _: tmp_path)
    assert load_model("demo").confidence is None
    (tmp_path / "confidence.json").write_text('{"slope": 0.5, "offset": 1.25}', encoding="utf-8")
    assert load_model("demo").confidence == ConfidenceCurve(0.5, 1.25)


def test_the_demo() -> None:
    model = load_model("demo")
    assert model.name == "demo"
    assert model.geometry.num_symbols == len(model.pieces.pieces)
    assert model.geometry.input_dim == len(model.frontend.mean)


LIBRISPEECH_FILES = (
    "models/emformer_rnnt_base_librispeech.pt",
    "pipeline-assets/spm_bpe_4096_librispeech.model",
    "pipeline-assets/global_stats_rnnt_librispeech.json",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torchaudio's, and no network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(load_torchaudio().utils.download, "download_url_to_file", refuse)
    return tmp_path / "hub" / "torchaudio"


def test_librispeech_without_network_says_which_files_to_put_where(cache: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_model("librispeech")
    message = str(caught.value)
    assert "\n" not in message
    assert str(cache) in message
    assert all(file in message for file in LIBRISPEECH_FILES)


def test_librispeech_is_taken_from_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the message names, put where it says, are the ones that are opened."""
    for file in LIBRISPEECH_FILES:
        (cache / file).parent.mkdir(parents=True, exist_ok=True)
        (cache / file).write_bytes(b"")
    opened: list[Path] = []

    def load_files(name: str, checkpoint: Path, config: None, tokens: Path, stats: Path, lengths: None) -> None:
        assert (name, config) == ("librispeech", None)
        opened.extend([checkpoint, tokens, stats])

    monkeypatch.setattr("emf.export.model.load_files", load_files)
    load_model("librispeech")
    assert opened == [cache / file for file in LIBRISPEECH_FILES]


def test_checkpoint_of_another_artifact(files: dict[str, Path]) -> None:
    model = load(files)
    vocabulary = Vocabulary(describe_file(files["tokens"].parent, files["tokens"]), 5, ())
    manifest = Manifest(model.geometry, model.frontend, vocabulary, ())
    assert load_checkpoint(str(files["name"]), files["config"], manifest).geometry == model.geometry
    other = replace(manifest, geometry=replace(model.geometry, left_context_length=3))
    with pytest.raises(CheckpointError, match="check --config"):
        load_checkpoint(str(files["name"]), files["config"], other)
