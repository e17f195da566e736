"""A corpus on a Ray cluster of one machine, and on one whose driver and node are killed."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.entry_points import ROOT, run
from tests.runtime.corpus.test_corpus import LISTED, NUM_FILES, corpus, names, read

__all__ = ["corpus"]

with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray")


@pytest.mark.slow
@with_ray
def test_rows_are_those_of_one_process(tiny_artifact: Path, corpus: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "rows.jsonl", tmp_path / "plain.jsonl"
    assert run("emf-transcribe", tiny_artifact, corpus, "--out", plain).returncode == 1
    flags = ["--cluster", "ray", "--workers", "1", "--batch-size", "4", "--send-audio", "--json"]
    done = run("emf-transcribe", tiny_artifact, corpus, "--out", out, *flags)
    assert (done.returncode, done.stderr) == (1, b"")
    assert json.loads(done.stdout)["run"]["rows"] == NUM_FILES + 3
    assert names(read(out)) == LISTED
    texts = [{row["path"]: row.get("text", row.get("error")) for row in read(path)} for path in (out, plain)]
    assert texts[0] == texts[1]
    again = run("emf-transcribe", tiny_artifact, corpus, "--out", out, "--workers", "2")
    assert again.returncode == 1 and names(read(out)) == LISTED


@pytest.mark.slow
@with_ray
def test_a_driver_and_a_node_are_killed(tiny_artifact: Path, corpus: Path) -> None:
    command = [sys.executable, "tools/try_ray_corpus.py", str(tiny_artifact), str(corpus / "manifest.tsv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_ray_a_line_says_what_to_install(tiny_artifact: Path, corpus: Path, tmp_path: Path) -> None:
    without = "sys.modules['ray'] = None"
    out = tmp_path / "rows.jsonl"
    done = run("emf-transcribe", tiny_artifact, corpus, "--out", out, "--cluster", "ray", prelude=without)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"pip install 'emformer-deploy[ray]'" in done.stderr and not out.exists()
