"""Run the cells of a notebook one after the other, and keep what they print and draw in it.

Example:
    python tools/run_notebook.py examples/from_checkpoint_to_report.ipynb

Needs matplotlib, but no Jupyter. Plots become small PNGs.
"""

import argparse
import base64
import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

_DOTS_PER_INCH = 80


def run_notebook(notebook: dict[str, Any], replaced: Mapping[str, str] = {}) -> dict[str, Any]:
    """Run all code cells in one namespace, and put their outputs in the notebook.

    Args:
        notebook: its JSON document.
        replaced: texts of the cells, and what runs in their place.

    Returns:
        The names that the cells left behind.

    Raises:
        ValueError: a text to replace stands in no cell.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in cells]
    for text, other in replaced.items():
        if not any(text in source for source in sources):
            raise ValueError(f"expected {text!r} in a cell, found it in none")
        sources = [source.replace(text, other) for source in sources]
    for number, (cell, source) in enumerate(zip(cells, sources, strict=True), 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, f"cell {number}", "exec"), names)
        cell["execution_count"] = number
        cell["outputs"] = [*_texts(printed.getvalue()), *map(_picture, plt.get_fignums())]
        plt.close("all")
    return names


def _texts(printed: str) -> list[dict[str, Any]]:
    if not printed:
        return []
    return [{"name": "stdout", "output_type": "stream", "text": printed.splitlines(keepends=True)}]


def _picture(number: int) -> dict[str, Any]:
    drawn = io.BytesIO()
    plt.figure(number).savefig(drawn, format="png", dpi=_DOTS_PER_INCH)
    data = {"image/png": base64.b64encode(drawn.getvalue()).decode(), "text/plain": ["<Figure>"]}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", type=Path)
    path = parser.parse_args().notebook
    notebook = json.loads(path.read_text(encoding="utf-8"))
    run_notebook(notebook)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
