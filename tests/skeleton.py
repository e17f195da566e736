"""The skeleton of a JSON document: its keys in their order, and the type of every leaf.

`tests/data/report_skeleton.json` and `tests/data/bench_skeleton.json` pin what users' scripts read.
"""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


def skeleton(value: Any) -> Any:
    """Objects keep their keys, a list keeps one element of each kind, a leaf becomes the name of its type."""
    if isinstance(value, dict):
        return {key: skeleton(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json.loads(kind) for kind in dict.fromkeys(json.dumps(skeleton(item)) for item in value)]
    return type(value).__name__


def expected_skeleton(name: str) -> dict[str, Any]:
    """A skeleton of `tests/data`."""
    document: dict[str, Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return document


def in_order(document: Any) -> str:
    """As text: two objects are equal only if their keys come in the same order."""
    return json.dumps(document, indent=1)


def pin(document: dict[str, Any], **values: Any) -> None:
    """Replace values that depend on the machine; the keys must be there."""
    assert values.keys() <= document.keys()
    document.update(values)
