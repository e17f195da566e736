"""Transcribe a corpus on a Ray cluster of three nodes, kill the driver and then a node, and compare with a plain run.

Example:
    python tools/try_ray_corpus.py artifacts/demo manifest.tsv

The nodes are Ray's own, all on this machine (`ray.cluster_utils`), each with one processor. The driver is
`emf-transcribe --cluster ray:ADDRESS` in a process of its own: it is killed with SIGKILL when a third of the rows are
written, and started again; then a node with all its processes is killed when two thirds are. At the end every recording
must have one row, and its text must be that of `emf-transcribe` in one process. Exit status 1 if not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from ray.cluster_utils import Cluster

NODES = 3
_LONGEST = 600.0
_TRANSCRIBE = "import sys; from emf.runtime.commands.launch import transcribe; sys.exit(transcribe())"


def start(arguments: list[str]) -> "subprocess.Popen[str]":
    """Start emf-transcribe."""
    return subprocess.Popen([sys.executable, "-c", _TRANSCRIBE, *arguments], stdout=subprocess.PIPE, text=True)


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows by the path of their recording."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows.setdefault(row["path"], []).append(row)
    return rows


def texts(rows: list[dict[str, Any]]) -> list[str | None]:
    """Their texts; `None` for an error."""
    return [row.get("text") for row in rows]


def wait_for_rows(process: "subprocess.Popen[str]", path: Path, count: int) -> None:
    """Wait until so many rows are written, or the process has ended."""
    deadline = time.monotonic() + _LONGEST
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise SystemExit(f"expected {count} rows while it runs, found status {process.poll()}")


def trial(arguments: list[str], num_files: int, folder: Path) -> dict[str, Any]:
    """Both runs and the comparison; `arguments` are those of both."""
    plain, out = folder / "plain.jsonl", folder / "rows.jsonl"
    alone = start([*arguments, "--out", str(plain), "--json"])
    expected = json.loads(alone.communicate()[0])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    begin = time.monotonic()
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(NODES - 1)]
        on_ray = [*arguments, "--out", str(out), "--cluster", f"ray:{cluster.address}", "--batch-size", "4", "--json"]
        driver = start(on_ray)
        wait_for_rows(driver, out, num_files // 3)
        driver.kill()
        driver.communicate()
        kept = out.read_bytes().count(b"\n")
        driver = start(on_ray)
        wait_for_rows(driver, out, 2 * num_files // 3)
        cluster.remove_node(nodes[0], allow_graceful=False)
        printed = driver.communicate(timeout=_LONGEST)[0]
    finally:
        elapsed = time.monotonic() - begin
        cluster.shutdown()
    rows, wanted = read(out), read(plain)
    return {
        "status": driver.returncode,
        "recordings": sum(map(len, wanted.values())),
        "kept_at_kill": kept,
        "rows": sum(map(len, rows.values())),
        "rows_a_recording": dict(Counter(len(found) for found in rows.values())),
        "other_text": [path for path in wanted if texts(rows.get(path, [])) != texts(wanted[path])],
        "wer": json.loads(printed)["wer"],
        "wer_plain": expected["wer"],
        "elapsed_s": elapsed,
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("flags", nargs="*", help="of emf-transcribe, behind --")
    options = parser.parse_args()
    num_files = options.manifest.read_text(encoding="utf-8").rstrip("\n").count("\n")
    with tempfile.TemporaryDirectory() as folder:
        found = trial([options.artifact, str(options.manifest), *options.flags], num_files, Path(folder))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return int(bool(found["other_text"]) or found["rows"] != found["recordings"] or found["wer"] != found["wer_plain"])


if __name__ == "__main__":
    sys.exit(main())
