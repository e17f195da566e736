"""The demo model: its size, its pieces of words, and the files that it is delivered as."""

import json
import random
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from demo_sentences import COMMANDS, DIGITS, sentence
from torch import Tensor

from emf.export.torchaudio_loader import load_torchaudio

PIECES = 128
"""SentencePiece pieces; the blank follows as the last id."""
CONFIG: dict[str, Any] = {
    "input_dim": 80,
    "encoding_dim": 256,
    "num_symbols": PIECES + 1,
    "segment_length": 16,
    "right_context_length": 4,
    "time_reduction_input_dim": 48,
    "time_reduction_stride": 4,
    "transformer_num_heads": 4,
    "transformer_ffn_dim": 1024,
    "transformer_num_layers": 6,
    "transformer_dropout": 0.0,
    "transformer_activation": "gelu",
    "transformer_left_context_length": 12,
    "transformer_max_memory_size": 0,
    "transformer_weight_init_scale_strategy": "depthwise",
    "transformer_tanh_on_mem": True,
    "symbol_embedding_dim": 192,
    "num_lstm_layers": 1,
    "lstm_layer_norm": True,
    "lstm_layer_norm_epsilon": 1e-3,
    "lstm_dropout": 0.0,
}


def build(config: dict[str, Any]) -> Any:
    """A torchaudio `RNNT` with fresh weights."""
    return load_torchaudio().models.emformer_rnnt_model(**config)


def train_pieces(transcripts: list[str], books: list[str], words: list[str], out: Path, seed: int) -> None:
    """Train SentencePiece on the domain and a little on books, and write `tokens.model` and `tokens.txt` to `out`.

    Args:
        transcripts: of the domain's recordings.
        books: of read books; every tenth is used, for the sake of pieces of words never spoken in the domain.
        words: to spell in generated sentences.
        out: an existing folder.
        seed: seed of the generated sentences.
    """
    rng = random.Random(seed)
    text = [*transcripts, *(sentence(rng, words) for _ in range(10000)), *books[::10], *DIGITS * 100, *COMMANDS * 100]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text),
        model_prefix=str(out / "tokens"),
        vocab_size=PIECES,
        model_type="unigram",
        character_coverage=1.0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        unk_id=0,
        num_threads=1,
        minloglevel=2,
    )
    (out / "tokens.vocab").unlink()
    pieces = load_pieces(out)
    listing = "".join(f"{pieces.id_to_piece(index)} {index}\n" for index in range(PIECES))
    (out / "tokens.txt").write_text(f"{listing}<blank> {PIECES}\n")


def load_pieces(folder: Path) -> Any:
    """The SentencePiece processor of a delivered model."""
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokens.model"))


def write_statistics(mean: Tensor, invstddev: Tensor, out: Path) -> None:
    """Write `global_stats.json` as torchaudio's bundles hold it."""
    stats = {"mean": [round(float(x), 6) for x in mean], "invstddev": [round(float(x), 6) for x in invstddev]}
    (out / "global_stats.json").write_text(json.dumps(stats) + "\n")


def write_model(model: Any, config: dict[str, Any], out: Path) -> None:
    """Write the weights in float16 as `model.pt` and the configuration as `model.json`, each in one move."""
    weights = {name: tensor.detach().half() for name, tensor in model.state_dict().items()}
    torch.save(weights, out / "model.pt.part")
    (out / "model.pt.part").replace(out / "model.pt")
    (out / "model.json").write_text(json.dumps(config, indent=2) + "\n")


def load_model(folder: Path) -> Any:
    """A delivered model in evaluation mode, in float32."""
    model = build(json.loads((folder / "model.json").read_text()))
    weights = torch.load(folder / "model.pt", weights_only=True, map_location="cpu")
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return model.eval()
