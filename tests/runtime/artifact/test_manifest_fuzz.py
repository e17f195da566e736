"""Whatever stands in `manifest.json`, only the project's own errors come out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emf.runtime import EmfError, Recognizer
from emf.runtime.artifact.manifest_file import read_manifest
from tests.runtime.artifact.damage import Place, copy_artifact, put, remove
from tests.signals import speech_like

ARTIFACT = Path(__file__).parents[2] / "data" / "tiny_artifact"
DOCUMENT = json.loads((ARTIFACT / "manifest.json").read_text(encoding="utf-8"))
AUDIO = speech_like(0.3)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, 2**63, -1, 0, 1, 2, 3])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\x00", "a" * 5000, "a" * 300, "\ud800", "../..", "float32", "ring", "replace", "encoding"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def places(document: Any, prefix: Place = ()) -> Iterator[Place]:
    """Every place of a document."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        place = (*prefix, key)
        yield place
        if isinstance(value, dict | list):
            yield from places(value, place)


# Long lists of numbers would drown the rest, and what is kept without being read is of no interest.
PLACES = [
    place
    for place in places({k: v for k, v in DOCUMENT.items() if k not in ("results", "tool_versions", "provenance")})
    if "mean" not in place[:-1] and "invstddev" not in place[:-1]
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_artifact(ARTIFACT, tmp_path_factory.mktemp("fuzz") / "artifact")


def use(root: Path) -> None:
    """Open the artifact and decode something; any `EmfError` is welcome if it takes one line."""
    try:
        Recognizer.load(root, backend="onnxruntime", num_threads=1, beam_width=2).transcribe(AUDIO, 16_000)
    except EmfError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 12_000


@given(place=st.sampled_from(PLACES), value=values)
@settings(max_examples=400)
def test_one_value_changed(copy: Path, place: Place, value: Any) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    put(document, place, value)
    (copy / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    use(copy)


@given(first=st.sampled_from(PLACES), second=st.sampled_from(PLACES))
@settings(max_examples=200)
def test_one_value_put_in_anothers_place(copy: Path, first: Place, second: Place) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    value: Any = document
    for key in first:
        value = value[key]
    put(document, second, json.loads(json.dumps(value)))
    (copy / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    use(copy)


@given(place=st.sampled_from(PLACES))
@settings(max_examples=100)
def test_one_field_removed(copy: Path, place: Place) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    remove(document, place)
    (copy / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    use(copy)


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(EmfError):
        read_manifest(copy)


def test_numbers_of_many_digits(copy: Path) -> None:
    (copy / "manifest.json").write_text('{"schema_version": ' + "9" * 10_000 + "}", encoding="utf-8")
    with pytest.raises(EmfError):
        read_manifest(copy)
