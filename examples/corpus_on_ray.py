"""A corpus on a Ray cluster: python examples/corpus_on_ray.py artifacts/demo manifest.tsv rows.jsonl [ADDRESS].

Needs `pip install 'emformer-deploy[ray]'`. Without an address it takes the cluster that runs here, or starts one.
Run it again after a crash: recordings that have a row are not done again.
"""

import json
import subprocess
import sys
from pathlib import Path


def main(artifact: str, manifest: str, rows: str, address: str = "", workers: str = "auto") -> None:
    """Transcribe every recording of the manifest once, and print the rows."""
    cluster = ["--cluster", f"ray:{address}" if address else "ray", "--workers", workers]
    command = ["emf-transcribe", artifact, manifest, "--out", rows, *cluster]
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode not in (0, 1):  # 1: some recordings failed; their rows have the error
        sys.exit(done.returncode)
    for line in Path(rows).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        print(f"{Path(row['path']).name}: {row['text'] if 'text' in row else 'failed, ' + row['error']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
