"""What was loaded goes on as it was, whatever becomes of the folder; what is loaded is what the checksums are of."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from emf.runtime import ArtifactError, Recognizer
from emf.runtime.artifact.files import describe_file
from emf.runtime.artifact.manifest_file import read_manifest, write_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.transducer import load_graphs, open_transducer
from tests.signals import speech_like

STREAMS = 5
"""More than one: OpenVINO compiles for a new size of batch, ONNX Runtime opens its graphs for the crew of threads."""


@pytest.fixture
def folder(tiny_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_artifact, tmp_path / "artifact"))


def texts(recognizer: Recognizer) -> list[tuple[int, ...]]:
    """Decode a batch of streams."""
    streams = [recognizer.create_stream() for _ in range(STREAMS)]
    for seed, stream in enumerate(streams):
        stream.accept_waveform(recognizer.sample_rate, speech_like(1.5, seed))
        stream.input_finished()
    while any(stream.is_ready for stream in streams):
        recognizer.decode_streams(streams)
    return [recognizer.get_result(stream).token_ids for stream in streams]


def graph_files(folder: Path) -> Iterator[Path]:
    return (path for suffix in (".onnx", ".bin", ".xml") for path in folder.rglob(f"*{suffix}"))


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


def replace_by_renaming(folder: Path) -> None:
    folder.rename(folder.with_name("old"))
    shutil.copytree(folder.with_name("old"), folder)
    overwrite(folder)


def overwrite(folder: Path) -> None:
    """As `rsync --inplace` or `cp` would: the same files, other weights."""
    for path in graph_files(folder):
        content = bytearray(path.read_bytes())
        if path.suffix != ".xml":
            for index in range(len(content) // 4, len(content) * 3 // 4):
                content[index] ^= 0x40 if index % 4 == 3 else 0x11
        with path.open("r+b") as stream:
            stream.write(content)


def truncate(folder: Path) -> None:
    for path in graph_files(folder):
        os.truncate(path, 10)


HAPPENINGS = (delete, replace_by_renaming, overwrite, truncate)


@pytest.mark.parametrize("happen", HAPPENINGS)
def test_whatever_happens_to_the_folder(folder: Path, backend: str, happen: Callable[[Path], None]) -> None:
    expected = texts(Recognizer.load(folder, backend=backend, num_threads=2))
    assert len(set(expected)) > 1
    recognizer = Recognizer.load(folder, backend=backend, num_threads=2)
    happen(folder)
    assert texts(recognizer) == expected
    assert texts(recognizer) == expected


def test_a_relative_path_and_another_working_directory(
    folder: Path, backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = texts(Recognizer.load(folder, backend=backend, num_threads=2))
    monkeypatch.chdir(folder.parent)
    recognizer = Recognizer.load(folder.name, backend=backend, num_threads=2, cache_dir="cache")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert texts(recognizer) == expected
    assert not list(elsewhere.iterdir()), "the cache stays where it was when the artifact was opened"


def test_what_was_changed_before_is_refused(folder: Path, backend: str) -> None:
    overwrite(folder)
    with pytest.raises(ArtifactError, match="SHA-256"):
        Recognizer.load(folder, backend=backend)


COUNT = """
import sys
from collections import Counter
from pathlib import Path
import emf.runtime
opened, root = Counter(), Path(sys.argv[1])
def hook(event, arguments):
    if event == "open" and str(arguments[0]).startswith(str(root)):
        opened[Path(arguments[0]).relative_to(root).as_posix()] += 1
sys.addaudithook(hook)
emf.runtime.Recognizer.load(root, backend=sys.argv[2], num_threads=2)
print(*sorted(opened.elements()))
"""


def test_every_file_is_read_once(folder: Path, backend: str) -> None:
    """A file that is compared in one reading and used in another may have changed between them."""
    manifest = read_manifest(folder)
    graphs = manifest.variant(Variant(backend, "fp32")).values()
    files = [manifest.vocabulary.file.path, *(file.path for graph in graphs for file in graph.files)]
    command = [sys.executable, "-c", COUNT, str(folder), backend]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(["manifest.json", *files])


def test_graphs_are_opened_from_what_was_read(folder: Path, backend: str) -> None:
    manifest, variant = read_manifest(folder), Variant(backend, "fp32")
    loaded = load_graphs(manifest, variant)
    shutil.rmtree(folder)
    assert open_transducer(manifest, variant, 1, loaded=loaded).precision["encoder"] == "f32"


def test_an_onnx_graph_with_its_weights_in_a_file_of_their_own(folder: Path) -> None:
    """Nothing here writes such a graph; a manifest may name one all the same."""
    expected = texts(Recognizer.load(folder, backend="onnxruntime", num_threads=2))
    manifest = read_manifest(folder)
    encoder = manifest.path(manifest.variant(Variant("onnxruntime", "fp32"))["encoder"].files[0])
    onnx.save(onnx.load(encoder), encoder, save_as_external_data=True, location="encoder.weights", size_threshold=1024)
    files = tuple(describe_file(folder, encoder.with_name(name)) for name in (encoder.name, "encoder.weights"))
    graphs = [replace(g, files=files) if g.files[0].path == files[0].path else g for g in manifest.graphs]
    write_manifest(replace(manifest, graphs=tuple(graphs)), folder)
    recognizer = Recognizer.load(folder, backend="onnxruntime", num_threads=2)
    shutil.rmtree(folder)
    assert texts(recognizer) == expected
