"""A scratch copy of an artifact in which variants can be made and mixed without touching the original."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from emf.quantize.calibration import CalibrationSet
from emf.quantize.recipe import Recipe
from emf.quantize.variant import VariantRequest, add_variant
from emf.runtime.artifact.manifest import GRAPH_NAMES, Manifest
from emf.runtime.artifact.manifest_file import read_manifest, write_manifest
from emf.runtime.artifact.variant import FLOAT, Variant


class ScratchArtifact:
    """Variants of one artifact for one backend, made once and mixed freely."""

    def __init__(self, folder: Path, backend: str, calibration: CalibrationSet | None) -> None:
        """Work in `folder`, a copy of an artifact that holds the float variant of `backend`."""
        self.folder = folder
        self.backend = backend
        self._calibration = calibration

    @property
    def manifest(self) -> Manifest:
        """As it is now."""
        return read_manifest(self.folder)

    def make(self, name: str, recipe: Recipe) -> Variant:
        """Make a variant."""
        add_variant(self.folder, VariantRequest(name, recipe, (self.backend,)), self._calibration)
        return Variant(self.backend, name)

    def mix(self, name: str, parts: Mapping[str, str]) -> Variant:
        """Enter a variant that takes each graph from the variant named for it; no file is written.

        Args:
            name: of the new variant.
            parts: by graph, the variant's precision.
        """
        manifest, mixed = self.manifest, Variant(self.backend, name)
        if mixed not in manifest.variants:
            sources = {graph: manifest.variant(Variant(self.backend, part))[graph] for graph, part in parts.items()}
            graphs = [replace(sources[graph], precision=name) for graph in GRAPH_NAMES]
            write_manifest(replace(manifest, graphs=(*manifest.graphs, *graphs)), self.folder)
        return mixed


@contextmanager
def scratch_artifact(
    manifest: Manifest, backend: str, calibration: CalibrationSet | None, variants: Sequence[str] = (FLOAT,)
) -> Iterator[ScratchArtifact]:
    """A scratch artifact with some of a backend's variants that vanishes at the end.

    The original's files are linked, not copied, where that works.
    """
    folder = Path(tempfile.mkdtemp(prefix=f".{manifest.root.name}.", suffix=".scratch", dir=manifest.root.parent))
    try:
        graphs = tuple(g for g in manifest.graphs if g.backend == backend and g.precision in variants)
        copy = replace(manifest, graphs=graphs, provenance={**manifest.provenance, "variants": {}}, root=folder)
        for file in copy.files():
            target = copy.path(file)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(manifest.path(file), target)
        write_manifest(copy, folder)
        yield ScratchArtifact(folder, backend, calibration)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
