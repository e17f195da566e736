"""The vectorised RNN-T loss against the sum over all alignments, one by one."""

import itertools
import math
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from rnnt_loss import rnnt_loss

BLANK = 4


def _brute_force(log_probs: torch.Tensor, target: list[int]) -> float:
    """Minus log of the summed probability of every way to interleave T blanks (the last one last) and U emissions."""
    frames, total = log_probs.shape[0], []
    for emissions in itertools.combinations(range(frames - 1 + len(target)), len(target)):
        t = u = 0
        score = 0.0
        for move in range(frames - 1 + len(target)):
            if move in emissions:
                score += float(log_probs[t, u, target[u]])
                u += 1
            else:
                score += float(log_probs[t, u, BLANK])
                t += 1
        total.append(score + float(log_probs[t, u, BLANK]))
    return -math.log(sum(map(math.exp, total)))


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("target", [[], [2], [0, 3, 3], [1, 0, 2, 1]], ids=len)
def test_equals_brute_force(frames: int, target: list[int]) -> None:
    torch.manual_seed(0)
    padded_frames, padded_target = frames + 2, [*target, 1]
    logits = torch.randn(2, padded_frames, len(padded_target) + 1, BLANK + 1, dtype=torch.float64)
    lengths = torch.tensor([frames, frames]), torch.tensor([len(target), len(target)])
    losses = rnnt_loss(logits, torch.tensor([padded_target] * 2), *lengths, blank=BLANK)
    for loss, log_probs in zip(losses, logits.log_softmax(dim=3), strict=True):
        assert float(loss) == pytest.approx(_brute_force(log_probs[:frames], target), rel=1e-9)


def test_gradient() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 3, BLANK + 1, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([3, 2]), torch.tensor([2, 1])
    assert torch.autograd.gradcheck(
        lambda x: rnnt_loss(x, torch.tensor([[0, 1], [2, 0]]), *lengths, blank=BLANK), logits
    )


def test_fast_emit_changes_only_the_gradient() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 4, 3, BLANK + 1, requires_grad=True)
    arguments = logits, torch.tensor([[0, 1]]), torch.tensor([4]), torch.tensor([2])
    plain, fast = rnnt_loss(*arguments, blank=BLANK), rnnt_loss(*arguments, blank=BLANK, fast_emit=0.5)
    assert plain.item() == fast.item()
    assert not torch.equal(*(torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0] for loss in (plain, fast)))
