"""The artifacts on a report's page: one with its variants, or several of one checkpoint side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emf.quantize.report.conversion import model_words, read_conversion
from emf.quantize.report.rows import Origin
from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.tokens import load_tokens
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.errors import ArtifactError, UsageError
from emf.runtime.inference.encoder_state import bytes_a_stream

_CHECKPOINT = "checkpoint_sha256"
_ALL = "all"


@dataclass(frozen=True, slots=True)
class ReportedArtifact:
    """An artifact on the page.

    Attributes:
        manifest: of the artifact.
        variants: to measure, each backend's float variant before its others.
        label: the artifact's name on the page; empty if it is the only one there.
    """

    manifest: Manifest
    variants: tuple[Variant, ...]
    label: str = ""

    def name(self, variant: Variant) -> str:
        """A variant's name on the page."""
        return f"{self.label} {variant}".lstrip()

    def origin(self, variant: Variant) -> Origin | None:
        """What a row says of the artifact; `None` if it is the only one on the page."""
        if not self.label:
            return None
        kept = bytes_a_stream(self.manifest.variant(variant)["encoder"])
        return Origin(self.label, model_words(self.manifest), kept, self.manifest.seconds_per_step)

    def original_ids(self, tokens: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
        """Tokens by their ids in the checkpoint's vocabulary, of which a conversion may have kept a part."""
        symbols = _symbols(self.manifest)
        return [[symbols[token] for token in one] for one in tokens] if symbols else tokens


def side_by_side(manifests: Sequence[Manifest], variants: str = _ALL) -> tuple[ReportedArtifact, ...]:
    """The artifacts of a page.

    Args:
        manifests: of each artifact; all are compared with the first.
        variants: what to measure of each: `all`, or names separated by commas.

    Raises:
        UsageError: an artifact is there twice, is of another model, or lacks a variant.
    """
    first, *others = manifests
    _require_different(manifests)
    for manifest in others:
        _require_same_model(first, manifest)
    chosen = [_chosen(manifest, variants) for manifest in manifests]
    if others:
        chosen[0] = [*_references(first, chosen), *chosen[0]]
    names = _labels([manifest.root.absolute() for manifest in manifests]) if others else [""]
    return tuple(
        ReportedArtifact(manifest, _with_float(of_one), name)
        for manifest, of_one, name in zip(manifests, chosen, names, strict=True)
    )


def _require_different(manifests: Sequence[Manifest]) -> None:
    roots = [manifest.root.resolve() for manifest in manifests]
    twice = [manifest.root for index, manifest in enumerate(manifests) if roots[index] in roots[:index]]
    if twice:
        raise UsageError(f"expected artifacts to compare, found {twice[0]} twice; name each once")


def _references(first: Manifest, chosen: Sequence[Sequence[Variant]]) -> list[Variant]:
    """The float variants that all others are compared with."""
    references = [Variant(b, FLOAT) for b in dict.fromkeys(v.backend for variants in chosen for v in variants)]
    lacking = [str(variant) for variant in references if variant not in first.variants]
    if lacking:
        raise UsageError(
            f"expected {lacking[0]} in {first.root}, which every artifact is compared with; add it there, or name "
            "--variants of the backends that it has"
        )
    return references


def _require_same_model(first: Manifest, other: Manifest) -> None:
    """Refuse what was made of another checkpoint, or hears or writes otherwise."""
    checkpoints = [manifest.provenance.get(_CHECKPOINT) for manifest in (first, other)]
    known, found = _original_pieces(first), _original_pieces(other)
    same = {
        "checkpoint": None not in checkpoints and checkpoints[0] == checkpoints[1],
        "frontend": first.frontend == other.frontend,
        "tokens.txt": all(known[token] == found[token] for token in known.keys() & found.keys()),
    }
    differs = [name for name, is_same in same.items() if not is_same]
    if differs:
        raise UsageError(
            f"expected artifacts of one model, found another {differs[0]} in {other.root} than in {first.root}; "
            "export both from the same files, or report on each alone"
        )


def _original_pieces(manifest: Manifest) -> dict[int, str]:
    """The pieces by their ids in the checkpoint's vocabulary."""
    pieces = load_tokens(manifest).pieces
    return dict(zip(_symbols(manifest) or range(len(pieces)), pieces, strict=True))


def _symbols(manifest: Manifest) -> tuple[int, ...]:
    """Ids in the checkpoint's vocabulary of those that a conversion kept; empty if all are there."""
    conversion = read_conversion(manifest.provenance)
    symbols = conversion.symbols if conversion else ()
    if symbols and len(symbols) != manifest.geometry.num_symbols:
        raise ArtifactError(
            f"{manifest.root}: expected {manifest.geometry.num_symbols} symbols in the record of its conversion, found "
            f"{len(symbols)}; export the model again"
        )
    return symbols


def _chosen(manifest: Manifest, text: str) -> Sequence[Variant]:
    if text == _ALL:
        return manifest.variants
    known = {str(variant): variant for variant in manifest.variants}
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UsageError(
            f"{manifest.root}: expected variants of {', '.join(known)}, found {unknown[0] if unknown else text!r}"
        )
    return [known[name] for name in names]


def _with_float(variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """The variants asked for, each backend's float variant before its others."""
    order = {backend: index for index, backend in enumerate(dict.fromkeys(v.backend for v in variants))}
    wanted = dict.fromkeys([*(Variant(backend, FLOAT) for backend in order), *variants])
    return tuple(sorted(wanted, key=lambda variant: order[variant.backend]))


def _labels(roots: Sequence[Path]) -> list[str]:
    """The folders' names, with as many of the folders above as tell all apart."""
    depth = 1
    while len({root.parts[-depth:] for root in roots}) < len(roots):
        depth += 1
    return ["/".join(root.parts[-depth:]) for root in roots]
