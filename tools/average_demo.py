"""Average the weights of demo models that were trained on from the same one.

Runs that begin with the same weights and differ in their batches end near one another; the mean of their weights
makes fewer errors than any of them. Source: Wortsman et al. 2022, "Model soups", arXiv 2203.05482.

Example:
    python tools/average_demo.py --models work/sixth work/seventh --out work/demo
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

_SHARED = ("global_stats.json", "tokens.model", "tokens.txt", "model.json")


def average(models: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights of some models, with the files that they share.

    Args:
        models: folders of delivered models of one architecture, statistics and tokens.
        out: folder to write.

    Raises:
        SystemExit: the models differ in more than their weights.
    """
    for name in _SHARED:
        if len({(model / name).read_bytes() for model in models}) != 1:
            raise SystemExit(f"expected models with the same {name}, found different ones; train them from one model")
    states: list[dict[str, Tensor]] = [torch.load(model / "model.pt", weights_only=True) for model in models]
    mean = {key: torch.stack([state[key].float() for state in states]).mean(dim=0).half() for key in states[0]}
    out.mkdir(parents=True, exist_ok=True)
    for name in _SHARED:
        shutil.copyfile(models[0] / name, out / name)
    torch.save(mean, out / "model.pt")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True, type=Path, nargs="+", help="folders of trained models")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    average(options.models, options.out)


if __name__ == "__main__":
    main()
