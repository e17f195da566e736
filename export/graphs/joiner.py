"""The joiner as a graph that ranks the next symbols."""

from typing import Any

import torch
from torch import Tensor, nn

JOINER_TOP_K = 16
JOINER_OUTPUTS = ("blank_log_prob", "top_log_probs", "top_ids", "logits", "log_normalizer")


class JoinerGraph(nn.Module):
    """Log-probabilities of the next symbol.

    Inputs: `encoding` (n, encoding_dim), `prediction` (n, encoding_dim), `temperature` (n,).
    Outputs: `blank_log_prob` (n,), `top_log_probs` and `top_ids` (n, k) of the best symbols other
    than the blank; `logits` (n, num_symbols - 1) of all those and `log_normalizer` (n,), whose log-probabilities
    are `logits / temperature - log_normalizer`. Of a hypothesis only its beam_width best symbols can survive, so
    the top k are all that search needs up to a beam of k. The logits of thousands of symbols are passed over as
    seldom as possible: what is done with them takes longer than quantized arithmetic takes to make them.
    Source: `torchaudio.models.rnnt._Joiner`, `RNNTBeamSearch._gen_next_token_probs`.
    """

    def __init__(self, joiner: Any, num_symbols: int) -> None:
        """Take over the modules of an `RNNT.joiner`; the blank is the last symbol."""
        super().__init__()
        self.activation = joiner.activation
        weight, bias = joiner.linear.weight, joiner.linear.bias
        self.symbols, self.blank = _linear(weight[:-1], bias[:-1]), _linear(weight[-1:], bias[-1:])
        self.top_k = min(JOINER_TOP_K, num_symbols - 1)

    def forward(self, encoding: Tensor, prediction: Tensor, temperature: Tensor) -> tuple[Tensor, ...]:
        """Run n hypotheses; see the class for the tensors."""
        hidden, temperature = self.activation(encoding + prediction), temperature.unsqueeze(1)
        logits, blank = self.symbols(hidden), self.blank(hidden)
        top, top_ids = torch.topk(logits, self.top_k, dim=1)
        peak = torch.maximum(top[:, :1], blank)
        others = torch.exp((logits - peak) / temperature).sum(dim=1, keepdim=True)
        normalizer = torch.log(others + torch.exp((blank - peak) / temperature)) + peak / temperature
        log_probs, blank_log_prob = top / temperature - normalizer, blank / temperature - normalizer
        return blank_log_prob.squeeze(1), log_probs, top_ids, logits, normalizer.squeeze(1)

    def example_inputs(self, batch: int = 2) -> dict[str, Tensor]:
        """Inputs with the right shapes."""
        dim = self.symbols.in_features
        return {
            "encoding": torch.randn(batch, dim),
            "prediction": torch.randn(batch, dim),
            "temperature": torch.ones(batch),
        }


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
    return linear
