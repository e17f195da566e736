"""What the text of a recording depends on: the model and the options, stated beside the rows and within each."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from emf.runtime.artifact.manifest import fingerprint
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.corpus.job import Job

_WITHOUT_EFFECT = {"num_threads", "cache_dir", "backend", "precision"}
"""Options that change no text, or that are stated as the variant."""
_ID_LENGTH = 16

Stated = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from.

    Attributes:
        artifact: the folder, for people: a copy of it elsewhere is the same source.
        stated: everything that the text depends on, by name.
    """

    artifact: str
    stated: Mapping[str, Stated]

    @property
    def id(self) -> str:
        """The same for the same text."""
        return _digest(self.stated)[:_ID_LENGTH]

    def as_document(self) -> dict[str, object]:
        """What stands beside the rows."""
        return {"source": self.id, "artifact": self.artifact, **self.stated}


def source_of(job: Job) -> Source:
    """The source of the rows of a job.

    Raises:
        ArtifactNotFound, ArtifactError: the artifact is missing, damaged, or lacks the variant.
        MissingDependency: no backend is installed.
    """
    options, manifest = job.decoding.options, read_manifest(job.artifact)
    variant = options.variant(manifest)
    files = [file.sha256 for graph in manifest.variant(variant).values() for file in graph.files]
    model = job.decoding.language_model
    stated: dict[str, Stated] = {
        "model": fingerprint(manifest),
        "variant": str(variant),
        "graphs": _digest(files),
        **{one.name: getattr(options, one.name) for one in fields(options) if one.name not in _WITHOUT_EFFECT},
        "frontend": options.frontend or manifest.frontend.default,
        "blank_penalty": options.search_options(manifest).blank_penalty,
        "endpoints": job.endpoint is not None,
        "channel": job.channel,
        "phrases": _digest(sorted(job.decoding.phrases.items())) if job.decoding.phrases else None,
        "language_model": model.ngrams.fingerprint if model else None,
        "language_model_weight": model.weight if model else None,
        "word_score": model.word_score if model else None,
    }
    known = {name: str(value) if value in (float("inf"), float("-inf")) else value for name, value in stated.items()}
    return Source(str(Path(job.artifact).absolute()), known)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
