"""Write the tiny artifact that tests open without PyTorch, and what torchaudio says with the same model.

The weights are random with a fixed seed. Run it again when the artifact's schema changes:
    python -m tests.make_tiny_artifact
"""

import json
from dataclasses import replace
from pathlib import Path

from emf.export.artifact import ExportOptions, export_artifact
from emf.export.parity.reference import Reference
from emf.runtime.inference.session import BACKENDS
from tests.oracle import source_of, tiny
from tests.signals import speech_like

DATA = Path(__file__).parent / "data"
ARTIFACT, EXPECTED = DATA / "tiny_artifact", DATA / "tiny_expected.json"
CONFIG = tiny(
    16,
    4,
    4,
    left=6,
    input_dim=24,
    encoding_dim=16,
    time_reduction_input_dim=4,
    transformer_num_heads=2,
    transformer_ffn_dim=32,
)
SECONDS, SEED = 6.0, 1
BEAM_WIDTHS = (1, 4, 10)


def main() -> None:
    """Write the artifact and the expected hypotheses."""
    source = replace(source_of("tiny", CONFIG), name="random weights")
    samples = speech_like(SECONDS, SEED)
    export_artifact(source, ARTIFACT, ExportOptions(BACKENDS, samples, force=True))
    expected = {}
    for width in BEAM_WIDTHS:
        *_, last = Reference(source, width).run(samples)
        expected[str(width)] = [{"tokens": h[0][1:], "score": h[3]} for h in last.hypotheses]
    document = {"seconds": SECONDS, "seed": SEED, "hypotheses": expected}
    EXPECTED.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
