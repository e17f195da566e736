"""The notebook's cells run one after the other, and its plots show what was measured."""

import json
import os
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from run_notebook import run_notebook

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "from_checkpoint_to_report.ipynb"
QUICK = {
    "verify_seconds, drift_seconds = 60, 60": "verify_seconds, drift_seconds = 1, 1",
    '("int8-weight", "int8")': '("int8",)',
}


@pytest.mark.slow
def test_from_checkpoint_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = tmp_path / "one.tsv"
    recording = ROOT / "export" / "demo" / "recordings" / "date.flac"
    manifest.write_text(f"path\ttranscript\n{recording}\tdecember thirty first\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names = run_notebook(notebook, {**QUICK, 'noisy / "manifest.tsv", "--out"': f'{str(manifest)!r}, "--out"'})
    variants = {f"{backend}/{name}" for backend in ("onnxruntime", "openvino") for name in ("fp32", "int8")}
    assert {row["name"] for row in names["found"]["variants"]} == variants
    assert names["result"].text.startswith("december thirty first")
    assert (
        names["checked"]["tokens_equal"] and (tmp_path / "artifacts" / "notebook" / "report" / "report.html").exists()
    )
    assert all(set(panel.get_legend_handles_labels()[1]) == variants for panel in names["panels"])
    drawn = [output for cell in notebook["cells"] for output in cell.get("outputs", ()) if "data" in output]
    assert len(drawn) == 3 and not plt.get_fignums()


def test_its_outputs_are_small() -> None:
    assert NOTEBOOK.stat().st_size < 200_000
    assert "/home/" not in NOTEBOOK.read_text(encoding="utf-8")
