"""What-if `vocabulary`: which symbols the speech needs, and what a joiner of only those would cost and lose."""

import tempfile
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emf.quantize.structure.onnx_builder import OnnxBuilder
from emf.quantize.structure.rows import JoinerTime, VocabularyUse
from emf.quantize.structure.speech import Encodings, Said, Speech, Tokens, words
from emf.quantize.structure.timing import median_ms, open_graph
from emf.quantize.structure.weights import Affine
from emf.runtime.arrays import FloatArray, IdArray
from emf.runtime.artifact.tokens import WORD_BOUNDARY, TokenTable
from emf.runtime.search.model import Joined, Model

HYPOTHESES = (1, 10, 160)
_TOP = 10
_DROPPED = np.float32(-1e9)
_FLOAT_BYTES = 4


class KeptSymbols:
    """A model whose joiner knows only some symbols; see `emf.runtime.search.model.Model`."""

    def __init__(self, model: Model, num_symbols: int, kept: Collection[int]) -> None:
        self._model = model
        self._kept = np.zeros(num_symbols, bool)
        self._kept[list(kept)] = True

    def predict(self, tokens: IdArray, states: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Model`."""
        return self._model.predict(tokens, states)

    def join(self, encodings: FloatArray, predictions: FloatArray, temperature: float, top_k: int) -> Joined:
        """See `Model`; the probability of symbols that were dropped goes to the others."""
        whole = self._model.join(encodings, predictions, temperature, len(self._kept))
        log_probs = np.where(self._kept[whole.top_ids], whole.top, _DROPPED)
        every = np.concatenate([log_probs, whole.blank[:, None]], axis=1)
        peak = every.max(axis=1)
        total = peak + np.log(np.exp(every - peak[:, None]).sum(axis=1))
        order = np.argsort(-log_probs, axis=1, kind="stable")[:, :top_k]
        top = np.take_along_axis(log_probs, order, axis=1) - total[:, None]
        ids: npt.NDArray[np.int64] = np.take_along_axis(whole.top_ids, order, axis=1)
        return Joined(np.asarray(whole.blank - total, np.float32), np.asarray(top, np.float32), ids)


def symbols_of(table: TokenTable, transcripts: Sequence[str]) -> frozenset[int]:
    """Symbols that spell the words of transcripts in the fewest pieces; a word that none spell adds nothing."""
    ids = {piece: index for index, piece in enumerate(table.pieces) if index not in table.hidden_ids}
    longest = max(map(len, ids), default=0)
    used: set[int] = set()
    for word in {word for transcript in transcripts for word in transcript.split()}:
        used.update(ids[piece] for piece in _fewest(f"{WORD_BOUNDARY}{word}", ids, longest) or ())
    return frozenset(used)


def _fewest(word: str, pieces: Collection[str], longest: int) -> tuple[str, ...] | None:
    """The fewest pieces that spell a word, the longest first where several do; `None` if none do."""

    @cache
    def rest(begin: int) -> tuple[str, ...] | None:
        if begin == len(word):
            return ()
        ends = range(min(len(word), begin + longest), begin, -1)
        found = [(word[begin:end], rest(end)) for end in ends if word[begin:end] in pieces]
        spelled = [(piece, *tail) for piece, tail in found if tail is not None]
        return min(spelled, key=len, default=None)

    return rest(0)


def what_if_vocabulary(
    speech: Speech, encodings: Encodings, said: Said, num_threads: int, step: Callable[[str], None]
) -> VocabularyUse:
    """Measure."""
    table, manifest = speech.recognizer.tokens, speech.recognizer.transducer.manifest
    count = manifest.geometry.num_symbols - 1

    def used(indices: Sequence[int]) -> frozenset[int]:
        emitted = {token for index in indices for token in said.tokens[index]}
        return symbols_of(table, [speech.references[index] for index in indices]) | emitted

    def search(kept: Collection[int], indices: Sequence[int]) -> Tokens:
        model = KeptSymbols(speech.recognizer.transducer, count, kept)
        return speech.search([encodings[index] for index in indices], model)

    step("vocabulary: words")
    kept = used(range(len(encodings)))
    inside = speech.said(search(kept, range(len(encodings))))
    found: dict[int, tuple[int, ...]] = {}
    for fit, held_out in (speech.halves, speech.halves[::-1]):
        found |= dict(zip(held_out, search(used(fit), held_out), strict=True))
    unseen = speech.said(tuple(found[index] for index in range(len(found))))
    step("vocabulary: joiner")
    sizes = [count, *(size for size in (count // 2, count // 4, count // 8) if size > len(kept)), len(kept)]
    dim = manifest.geometry.encoding_dim
    return VocabularyUse(
        symbols=count,
        used=len(kept),
        words=words(said, inside),
        words_unseen=words(said, unseen),
        joiner=tuple(_joiner(size, dim, num_threads) for size in dict.fromkeys(sizes)),
    )


def _joiner(symbols: int, dim: int, num_threads: int) -> JoinerTime:
    """Times of a joiner with random weights: the product, the best symbols and the normalizer."""
    random, builder = np.random.default_rng(0), OnnxBuilder()
    weight = random.standard_normal((symbols + 1, dim), np.float32)
    hidden = builder.node("Relu", builder.node("Add", "encoding", "prediction"))
    logits = builder.linear(hidden, Affine(weight, np.zeros(symbols + 1, np.float32)))
    axes = builder.constant(np.array([1], np.int64))
    normalizer = builder.node("ReduceLogSumExp", logits, axes, keepdims=1)
    best = builder.best(logits, min(_TOP, symbols))
    shape = ("rows", dim)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "joiner.onnx"
        builder.write(path, {"encoding": shape, "prediction": shape}, {"best": best, "normalizer": normalizer})
        run = open_graph("onnxruntime", path, num_threads)
        milliseconds = {}
        for rows in HYPOTHESES:
            given = random.standard_normal((rows, dim), np.float32)
            milliseconds[str(rows)] = median_ms(run, {"encoding": given, "prediction": given})
    return JoinerTime(symbols, _FLOAT_BYTES * (symbols + 1) * (dim + 1), milliseconds)
