"""INT8 weights beside FP32: python examples/quantize_and_compare.py artifacts/demo speech/manifest.tsv report.

The same on the command line: emf-quantize, then emf-report.
"""

import json
import subprocess
import sys
from pathlib import Path


def main(artifact: str, speech: str, report: str) -> None:
    """Add a variant, measure all, print the recommendation and a line a variant."""
    subprocess.run(["emf-quantize", artifact, "--precision", "int8-weight"], check=True)
    measured = ["--load-seconds", "0", "--drift-seconds", "10", "--no-component-matrix"]
    subprocess.run(["emf-report", artifact, "--audio", speech, "--out", report, *measured], check=True)
    found = json.loads((Path(report) / "report.json").read_text(encoding="utf-8"))
    for variant in found["variants"]:
        mebibytes, wer, p50 = variant["bytes"] / 2**20, 100 * variant["wer"], variant["chunk_ms"]["p50"]
        print(f"{variant['name']:24} {mebibytes:7.2f} MiB  WER {wer:5.2f} %  chunk {p50:5.1f} ms")
    print(found["recommendation"])


if __name__ == "__main__":
    main(*sys.argv[1:])
