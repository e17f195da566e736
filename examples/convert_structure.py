"""A smaller model without training: python examples/convert_structure.py demo artifacts/small speech/manifest.tsv.

A stream keeps latents in bytes instead of keys and values, and half of the feed-forward neurons go.
"""

import json
import subprocess
import sys

STRUCTURE = ["--cache-rank", "64", "--ffn-neurons", "0.5", "--cache", "int8"]


def main(model: str, artifact: str, speech: str, *flags: str) -> None:
    """Convert, export and check; print what a stream keeps and what happened to the words."""
    command = ["emf-export", "--model", model, "--out", artifact, *STRUCTURE, "--calibration", speech, "--json", *flags]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    print(f"a stream keeps {found['state_bytes'] / 1024:.1f} KiB; ranks {found['conversion']['ranks']}")
    for search, words in found["conversion"]["against_original"]["searches"].items():
        print(f"{search}: {words['words_changed']} of {words['words']} words changed")


if __name__ == "__main__":
    main(*sys.argv[1:])
