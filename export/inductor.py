"""torch.compile at its best on a CPU: frozen weights, one graph for each part of the model, oneDNN's products.

torchaudio's own modules cannot be compiled whole: every Emformer layer reads the number of frames seen so far out of
a tensor, at which a graph ends. So the encoder compiled is the one that is exported, whose shapes are fixed and
which equals torchaudio's; predictor and joiner are torchaudio's. Search stays `RNNTBeamSearch`.

Inductor gives products in float32 with a known number of rows to MKL, which on an EPYC reads weights for a handful of
rows far below the memory's bandwidth. It takes oneDNN where the number is open, so it is left open.
"""

import importlib
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.decorators import mark_unbacked
from torch._inductor import config as inductor_config
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler
from torch.export import Dim
from torch.utils._pytree import tree_leaves, tree_map

from emf.export.baseline import Opener
from emf.export.graphs.encoder import EncoderGraph
from emf.export.model import SourceModel
from emf.runtime.errors import MissingDependency
from emf.runtime.telemetry import quiet

State = list[list[Tensor]]
Arguments = tuple[Any, ...]


def require_compiler() -> None:
    """See that inductor can build what it writes.

    Raises:
        MissingDependency: there is no C++ compiler.
    """
    try:
        compiler: str | None = get_cpp_compiler()
    except InvalidCxxCompiler:
        compiler = None
    if compiler is None or shutil.which(compiler) is None:
        raise MissingDependency(
            "torch.compile needs a C++ compiler, and none is found; install g++, or name one in the environment "
            "variable CXX"
        )


class CompiledEncoder:
    """`RNNT.transcribe_streaming` in one compiled graph; its state is a list of what `EncoderStates` names."""

    def __init__(self, graph: EncoderGraph, run: Callable[..., tuple[Tensor, ...]]) -> None:
        """Take the graph, for its states, and what runs it."""
        self._tensors, self._run = graph.states.tensors, run
        self._by_row = any(tensor.by_row for tensor in self._tensors)

    def __call__(
        self, features: Tensor, length: Tensor, state: list[Tensor] | None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """One step; see `RNNT.transcribe_streaming`. The state given is changed in place."""
        if state is None:
            state = [torch.zeros(1, dtype=torch.int64), *(tensor.zeros(1) for tensor in self._tensors)]
        steps, *states = state
        rows = [torch.zeros(1, dtype=torch.int64)] if self._by_row else []
        encoding, *new = self._run(features, *states, *rows)
        for spec, held, added in zip(self._tensors, states, new, strict=True):
            if spec.update == "ring":
                size = added.shape[spec.axis]
                held.index_copy_(spec.axis, (steps * size + torch.arange(size)) % held.shape[spec.axis], added)
            else:
                held.copy_(added)
        steps += 1
        return encoding, torch.full_like(length, encoding.shape[1]), state


class EncoderStep(nn.Module):
    """The exported encoder for one segment of each of some streams, of which there is at least one."""

    def __init__(self, graph: EncoderGraph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, features: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """See `EncoderGraph`."""
        torch._check(features.shape[0] > 0)  # type: ignore[no-untyped-call]
        if states:
            for each_stream in (states[0], states[-1]):
                torch._check(each_stream.shape[0] == features.shape[0])  # type: ignore[no-untyped-call]
        outputs: tuple[Tensor, ...] = self.graph(features, *states)
        return outputs


class PredictorStep(nn.Module):
    """`RNNT.predict` for one token a hypothesis, state given."""

    def __init__(self, predictor: Any) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, tokens: Tensor, lengths: Tensor, state: State) -> tuple[Tensor, State]:
        """Prediction (n, 1, encoding_dim) and new state."""
        prediction, _, new_state = self.predictor(tokens, lengths, state)
        return prediction, new_state

    def zeros(self, batch: int) -> State:
        """State before the first token."""
        return [[torch.zeros(batch, lstm.hidden_dim) for _ in range(2)] for lstm in self.predictor.lstm_layers]


class JoinerStep(nn.Module):
    """`RNNT.join` for one frame."""

    def __init__(self, joiner: Any) -> None:
        super().__init__()
        self.joiner = joiner

    def forward(self, encoding: Tensor, prediction: Tensor) -> Tensor:
        """Logits (n, 1, 1, num_symbols) of encodings and predictions, both (n, 1, encoding_dim)."""
        hidden = self.joiner.activation(encoding.unsqueeze(2) + prediction.unsqueeze(1))
        logits: Tensor = self.joiner.linear(hidden)
        return logits


def _as_it_is(module: nn.Module, arguments: Arguments) -> nn.Module:
    return module


def compile_frozen(source: SourceModel, prepare: Callable[[nn.Module, Arguments], nn.Module] = _as_it_is) -> None:
    """Compile encoder, predictor and joiner with their weights frozen, and let the `RNNT` call them.

    Args:
        source: the model, changed in place.
        prepare: what to make of each part before it is compiled, given its arguments for two rows.

    Raises:
        MissingDependency: there is no C++ compiler.
    """
    require_compiler()
    rnnt: Any = source.rnnt
    dim = source.geometry.encoding_dim
    encoder = EncoderGraph(rnnt.transcriber, source.geometry).eval()
    predictor, joiner = PredictorStep(rnnt.predictor).eval(), JoinerStep(rnnt.joiner).eval()
    with torch.inference_mode():
        ones = torch.ones(2, dtype=torch.int64)
        encode = _compiled(EncoderStep(encoder).eval(), tuple(encoder.example_inputs().values()), prepare)
        predict = _compiled(predictor, (torch.zeros(2, 1, dtype=torch.int64), ones, predictor.zeros(2)), prepare)
        join = _compiled(joiner, (torch.zeros(2, 1, dim), torch.zeros(2, 1, dim)), prepare)

    def predict_as_torchaudio(tokens: Tensor, lengths: Tensor, state: State | None) -> tuple[Tensor, Tensor, State]:
        prediction, new_state = predict(tokens, lengths, predictor.zeros(len(tokens)) if state is None else state)
        return prediction, lengths, new_state

    def join_as_torchaudio(
        encoding: Tensor, source_lengths: Tensor, prediction: Tensor, target_lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = encoding.repeat(len(prediction), 1, 1)
        return join(rows, prediction), source_lengths, target_lengths

    rnnt.transcribe_streaming = CompiledEncoder(encoder, encode)
    rnnt.predict, rnnt.join = predict_as_torchaudio, join_as_torchaudio


def _compiled(module: nn.Module, arguments: Arguments, prepare: Callable[[nn.Module, Arguments], nn.Module]) -> Any:
    """Compile a module at once for any number of rows.

    Freezing must be on as the module is traced: as an option of `torch.compile` it comes too late, and does nothing.
    """
    run = torch.compile(prepare(module, arguments), fullgraph=True)
    for tensor in tree_leaves(arguments):
        mark_unbacked(tensor, 0)
    with inductor_config.patch(freezing=True):
        run(*arguments)
    return run


def quantize_dynamic(module: nn.Module, arguments: Arguments) -> nn.Module:
    """PyTorch 2's own way to INT8: `X86InductorQuantizer` on the exported program, activations quantized as they come.

    Raises:
        MissingDependency: torchao, where PyTorch keeps this since 2.11, is not installed.
    """
    try:
        with quiet("torchao"), quiet("torch.utils._pytree"):
            flow: Any = importlib.import_module("torchao.quantization.pt2e.quantize_pt2e")
            x86: Any = importlib.import_module("torchao.quantization.pt2e.quantizer.x86_inductor_quantizer")
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"PyTorch's INT8 for torch.compile needs {error.name}, which is not installed; run: pip install torchao"
        ) from error
    batch = Dim("batch")
    with torch.inference_mode(False), torch.no_grad():
        arguments = tree_map(torch.clone, arguments)
        shapes: Any = tree_map(lambda _: {0: batch}, arguments)
        if isinstance(module, EncoderStep):  # it takes its states as `*states`, the rings with rows of their own
            rings = tuple({0: Dim("rows")} for _ in shapes[2:-1])
            shapes = (shapes[0], (*shapes[1:2], *rings, *shapes[2:][-1:]))
        program = torch.export.export(module, arguments, dynamic_shapes=shapes).module(check_guards=False)
        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config(is_dynamic=True))
        prepared = flow.prepare_pt2e(program, quantizer)
        prepared(*arguments)
        converted: nn.Module = flow.convert_pt2e(prepared)
    return converted


open_inductor = Opener(compile_frozen)
open_inductor_int8 = Opener(partial(compile_frozen, prepare=quantize_dynamic))
