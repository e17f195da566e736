"""The lowest versions are those that are stated, extras of extras included."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from lowest_versions import PYPROJECT, constraints

PROJECT: dict[str, Any] = {
    "name": "this",
    "dependencies": ["a>=1.5,<3"],
    "optional-dependencies": {
        "b": ["this[c]", "b[more]>=2; python_version >= '3'", "never>=9; python_version < '3'"],
        "c": ["c~=0.3", "a>=1.5"],
        "wild": ["d<4"],
        "other": ["a>=1.6"],
    },
}


def test_constraints() -> None:
    assert constraints(PROJECT, []) == ["a==1.5"]
    assert constraints(PROJECT, ["b"]) == ["a==1.5", "b==2", "c==0.3"]


@pytest.mark.parametrize(("extra", "message"), [("wild", "d>=1.0"), ("other", "one lowest version of a"), ("x", "x")])
def test_what_states_no_lowest_version_is_refused(extra: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        constraints(PROJECT, [extra])


def test_every_extra_of_the_project_states_its_lowest_versions() -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    lines = constraints(project, list(project["optional-dependencies"]))
    assert {"numpy", "onnxruntime", "openvino", "websockets", "torch", "av"} <= {line.split("==")[0] for line in lines}
