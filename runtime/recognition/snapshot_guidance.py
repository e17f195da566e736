"""What guides a stream, in its snapshot: phrases are written down, a language model is only named."""

from collections.abc import Sequence
from dataclasses import replace

from emf.runtime.artifact.json_fields import JsonFields
from emf.runtime.errors import SnapshotError
from emf.runtime.guidance.biasing import Biasing, BiasNode
from emf.runtime.guidance.fusion import MAX_WEIGHT, MAX_WORD_SCORE, Fusion, WordPlace
from emf.runtime.guidance.guidance import Guidance, Place
from emf.runtime.guidance.phrases import MAX_SCORE
from emf.runtime.guidance.preparation import Preparation


def describe_phrases(guidance: Guidance, places: Sequence[Place]) -> dict[str, object]:
    """Fields of a snapshot's header: the phrases, and where each hypothesis stands in them."""
    return {
        "phrases": guidance.biasing.phrases if guidance.biasing else {},
        "bias_paths": [place.phrase.path if place.phrase else "" for place in places],
    }


def describe_language_model(guidance: Guidance, places: Sequence[Place]) -> dict[str, object]:
    """A field of a snapshot's header: the language model, and where each hypothesis stands in it; none without one."""
    fusion = guidance.fusion
    if fusion is None:
        return {}
    words, spelled = [place.word or fusion.root for place in places], fusion.model.ngrams.words
    return {
        "language_model": {
            "fingerprint": fusion.model.ngrams.fingerprint,
            "weight": fusion.model.weight,
            "word_score": fusion.model.word_score,
            "contexts": [" ".join(spelled[index] for index in word.context) for word in words],
            "words": [word.word for word in words],
        }
    }


def read_guidance(header: JsonFields, here: Guidance, preparation: Preparation) -> tuple[Guidance, list[Place]]:
    """The guidance of a snapshot, and the place of each hypothesis in it.

    Args:
        header: of the snapshot.
        here: of the stream that goes on with it; brings the language model.
        preparation: makes guidance ready for the model's vocabulary.

    Raises:
        SnapshotError: another language model, or fields that contradict each other.
        KeyError, ValueError: a place that does not exist.
    """
    biasing, phrases = _read_phrases(header, preparation)
    fusion, words = _read_language_model(header, here.fusion, preparation)
    if not phrases:
        return Guidance(biasing, fusion), [Place(None, word) for word in words]
    if not words:
        return Guidance(biasing, fusion), [Place(phrase, None) for phrase in phrases]
    return Guidance(biasing, fusion), [Place(*pair) for pair in zip(phrases, words, strict=True)]


def _read_phrases(header: JsonFields, preparation: Preparation) -> tuple[Biasing | None, list[BiasNode]]:
    fields = header.fields("phrases")
    scores = {phrase: fields.number(phrase, -MAX_SCORE, MAX_SCORE) for phrase in header.mapping("phrases")}
    paths = header.texts("bias_paths")
    biasing = preparation.biasing(scores)
    if biasing is None:
        return None, []
    return biasing, [biasing.find(path) for path in paths]


def _read_language_model(
    header: JsonFields, here: Fusion | None, preparation: Preparation
) -> tuple[Fusion | None, list[WordPlace]]:
    if not header.has("language_model"):
        return None, []
    fields = header.fields("language_model")
    taken, known = fields.text("fingerprint"), here.model.ngrams.fingerprint if here else "none"
    if here is None or taken != known:
        raise SnapshotError(
            f"the snapshot was taken with another language model ({taken:.12}, here {known:.12}); "
            "pass restore_stream the stream's own"
        )
    weight = fields.number("weight", 0.0, MAX_WEIGHT)
    word_score = fields.number("word_score", -MAX_WORD_SCORE, MAX_WORD_SCORE)
    fusion = preparation.fusion(replace(here.model, weight=weight, word_score=word_score))
    ids = fusion.model.ngrams.ids
    contexts = [[ids[word] for word in context.split(" ") if word] for context in fields.texts("contexts")]
    places = [fusion.place(context, word) for context, word in zip(contexts, fields.texts("words"), strict=True)]
    return fusion, places
