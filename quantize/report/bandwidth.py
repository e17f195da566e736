"""The memory traffic a variant needs."""

from collections.abc import Mapping

from emf.quantize.graphs.files import weight_bytes
from emf.quantize.report.rows import MemoryTraffic
from emf.runtime.artifact.manifest import GRAPH_NAMES, GraphSpec, Manifest
from emf.runtime.measure.bandwidth import cache_bytes
from emf.runtime.measure.floor import state_bytes


def audit(manifest: Manifest, graphs: Mapping[str, GraphSpec], bandwidth: float) -> MemoryTraffic:
    """What one chunk of one stream must read and write at least: every weight once, every state once.

    Args:
        manifest: of the artifact.
        graphs: of one variant.
        bandwidth: of the memory, bytes a second.
    """
    weights = {name: sum(weight_bytes(manifest, graphs[name]).values()) for name in GRAPH_NAMES}
    state = state_bytes(graphs["encoder"])
    total = sum(weights.values()) + state
    seconds = manifest.seconds_per_step
    holding = [level for level, size in cache_bytes().items() if size >= total]
    return MemoryTraffic(
        weight_bytes=weights,
        state_bytes=state,
        bytes_per_chunk=total,
        bytes_per_second_realtime=total / seconds,
        floor_ms=1e3 * total / bandwidth,
        fits_in=holding[0] if holding else None,
    )
