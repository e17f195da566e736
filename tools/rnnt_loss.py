"""The RNN-T loss (Graves 2012) in plain PyTorch: torchaudio's is native code that needs its own library."""

import torch
from torch import Tensor


def rnnt_loss(
    logits: Tensor,
    targets: Tensor,
    source_lengths: Tensor,
    target_lengths: Tensor,
    *,
    blank: int,
    fast_emit: float = 0.0,
) -> Tensor:
    """Negative log-likelihood of each target sequence, summed over all alignments.

    The forward variable alpha(t, u) obeys
    `alpha(t, u) = logaddexp(alpha(t - 1, u) + blank(t - 1, u), alpha(t, u - 1) + emit(t, u - 1))`.
    Divided by the running product of the blanks, a whole row u is one `logcumsumexp` along t, so that
    only the loop over the U targets remains; autograd provides the gradient.

    Args:
        logits: joiner output before the softmax, `(batch, T, U + 1, symbols)`.
        targets: token ids, `(batch, U)`; entries past `target_lengths` are ignored.
        source_lengths: valid encoder frames, `(batch,)`, each at least 1.
        target_lengths: valid tokens, `(batch,)`, 0 included.
        blank: id of the blank symbol.
        fast_emit: how much more (relatively) the gradient of emissions counts than that of blanks, which makes the
            model emit earlier (FastEmit, Yu et al. 2021); the value of the loss does not change.

    Returns:
        Loss of each sequence in nats, `(batch,)`, float64.
    """
    normalizer = logits.logsumexp(dim=3)
    ids = targets.unsqueeze(1).expand(-1, logits.shape[1], -1).unsqueeze(3)
    emit = (logits[:, :, :-1].gather(3, ids).squeeze(3) - normalizer[:, :, :-1]).double()
    stay = (logits[..., blank] - normalizer).double()
    if fast_emit:
        emit = emit + fast_emit * (emit - emit.detach())
    # stayed[:, t, u]: log-probability of taking blanks only, at u, from frame 0 up to frame t
    stayed = torch.nn.functional.pad(stay.cumsum(dim=1)[:, :-1], (0, 0, 1, 0))
    alpha = stayed[:, :, 0]
    rows = [alpha]
    for u in range(targets.shape[1]):
        arrivals = alpha + emit[:, :, u] - stayed[:, :, u + 1]
        alpha = arrivals.logcumsumexp(dim=1) + stayed[:, :, u + 1]
        rows.append(alpha)
    batch = torch.arange(logits.shape[0], device=logits.device)
    last = source_lengths.long() - 1
    final = torch.stack(rows, dim=2)[batch, last, target_lengths.long()]
    return -(final + stay[batch, last, target_lengths.long()])
