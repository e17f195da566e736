"""The predictor as a graph with explicit LSTM state."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from emf.runtime.artifact.manifest import StateSpec

LSTM_STATE = StateSpec("lstm_state", "new_lstm_state")


class PredictorGraph(nn.Module):
    """One token of the predictor with explicit LSTM state.

    Inputs: `token` (n,), `lstm_state` (n, layers, 2, hidden), h and c. Outputs: `prediction`
    (n, encoding_dim), `new_lstm_state`. Source: `torchaudio.models.rnnt._Predictor`, `_CustomLSTM`.
    """

    def __init__(self, predictor: Any) -> None:
        """Take over the modules of an `RNNT.predictor`."""
        super().__init__()
        self.predictor = predictor

    def forward(self, token: Tensor, lstm_state: Tensor) -> tuple[Tensor, Tensor]:
        """Run one token; see the class for the tensors."""
        x = self.predictor.input_layer_norm(self.predictor.embedding(token))
        states = []
        for index, lstm in enumerate(self.predictor.lstm_layers):
            gates = lstm.g_norm(lstm.x2g(x) + lstm.p2g(lstm_state[:, index, 0]))
            input_gate, forget_gate, cell_gate, output_gate = gates.chunk(4, 1)
            c = torch.sigmoid(forget_gate) * lstm_state[:, index, 1] + torch.sigmoid(input_gate) * torch.tanh(cell_gate)
            c = lstm.c_norm(c)
            x = torch.sigmoid(output_gate) * torch.tanh(c)
            states.append(torch.stack([x, c], dim=1))
        return self.predictor.output_layer_norm(self.predictor.linear(x)), torch.stack(states, dim=1)

    def example_inputs(self, batch: int = 2) -> dict[str, Tensor]:
        """Inputs with the right shapes."""
        lstms = self.predictor.lstm_layers
        state = torch.zeros(batch, len(lstms), 2, lstms[0].hidden_dim)
        return {"token": torch.zeros(batch, dtype=torch.int64), "lstm_state": state}


def packed_lstm_state(layers: Sequence[Sequence[Tensor]]) -> Tensor:
    """torchaudio's LSTM state, h and c of shape (n, hidden) of each layer, as `PredictorGraph` takes it."""
    return torch.stack([torch.stack(tuple(layer), dim=1) for layer in layers], dim=1)
