"""The report as one value: what `report.json` holds and what the pages show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emf.quantize.report.rows import BaselineRow, FailedBaseline, MatrixRow, VariantRow, reference_of
from emf.quantize.structure.rows import WhatIf
from emf.runtime.measure.decoding_used import DecodingUsed
from emf.runtime.measure.document import INLINE
from emf.runtime.measure.machine import Machine


@dataclass(frozen=True, slots=True)
class Audio:
    """The held-out speech: numbers of utterances, words and speakers, and its length."""

    utterances: int
    seconds: float
    words: int
    speakers: int


@dataclass(frozen=True, slots=True)
class MachineAndMemory:
    """The machine, with the speed of its memory.

    Attributes:
        machine: processor, system, Python.
        caches: bytes of each data cache, by level.
        read_bytes_per_second: bandwidth from memory.
    """

    machine: Machine = field(metadata=INLINE)
    caches: Mapping[str, int]
    read_bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which variant to deploy, and why."""

    variant: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """One of several artifacts: its name on the page, and its manifest's provenance without the variants' records."""

    name: str
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """The artifacts of one checkpoint on a page; the first is what the others are compared with."""

    artifacts: tuple[ArtifactRecord, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All that was measured of one artifact, or of several beside it.

    Attributes:
        artifact: name of the folder, of the first one if there are several.
        provenance: from its manifest, without the variants' records.
        audio: that all variants decoded.
        decoding: how.
        machine: where.
        variants: artifact by artifact, each backend's float variant before its others.
        baselines: PyTorch's rows.
        component_matrix: rows of each backend.
        recommendation: which variant to deploy.
        what_if: other structures, where they were asked for.
        compared: all the artifacts; `None` if there is only one.
    """

    artifact: str
    provenance: Mapping[str, Any]
    audio: Audio
    decoding: DecodingUsed
    machine: MachineAndMemory
    variants: tuple[VariantRow, ...]
    baselines: tuple[BaselineRow | FailedBaseline, ...]
    component_matrix: Mapping[str, tuple[MatrixRow, ...]]
    recommendation: Recommendation
    what_if: WhatIf | None = None
    compared: Compared | None = field(default=None, metadata=INLINE)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all its artifacts, the first being what the others are compared with."""
        return (self.artifact,) if self.compared is None else tuple(one.name for one in self.compared.artifacts)

    @property
    def recommended(self) -> VariantRow:
        """The row of the recommended variant."""
        return next(row for row in self.variants if row.name == self.recommendation.variant)

    def reference(self, row: VariantRow) -> VariantRow:
        """The row that a row is compared with."""
        return reference_of(row, self.variants)

    @property
    def quantized(self) -> list[VariantRow]:
        """The rows of all variants but the float ones."""
        return [row for row in self.variants if not row.is_float]


@dataclass(frozen=True, slots=True)
class WhatIfReport:
    """Other structures of one artifact's model, without a look at its variants; see `Report` for the fields."""

    artifact: str
    provenance: Mapping[str, Any]
    decoding: DecodingUsed
    machine: Machine
    what_if: WhatIf
