"""Write the base model with seeded random weights, for parity and speed where the real weights are out of reach.

Random weights emit almost nothing; the joiner's weight is scaled and the blank's bias set so that
beam search emits some 2 to 5 tokens a second of speech, which makes equal tokens a hard test.
"""

import argparse
from pathlib import Path

import torch

from emf.export.torchaudio_loader import load_torchaudio

NUM_SYMBOLS = 4097
JOINER_SCALE = 3.0
BLANK_BIAS = 7.3


def seeded_state_dict(seed: int) -> dict[str, torch.Tensor]:
    """The `state_dict` of `emformer_rnnt_base(4097)` drawn with `seed`, joiner adjusted."""
    torch.manual_seed(seed)
    state: dict[str, torch.Tensor] = load_torchaudio().models.emformer_rnnt_base(NUM_SYMBOLS).state_dict()
    state["joiner.linear.weight"] *= JOINER_SCALE
    state["joiner.linear.bias"][-1] = BLANK_BIAS
    return state


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(seeded_state_dict(options.seed), options.out)


if __name__ == "__main__":
    main()
