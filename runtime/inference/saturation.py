"""INT8 weights of full range on processors without VNNI, where sums of two products may saturate."""

import logging
from collections.abc import Mapping

from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.inference.processor import instruction_sets

_LOGGER = logging.getLogger(__name__)
_EXACT = frozenset(("avx_vnni", "avx512_vnni"))


def warn_of_saturation(manifest: Manifest, variant: Variant) -> None:
    """Log a warning where this processor may compute a variant less exactly than the one it was checked on.

    Both backends add two products of 8 bits in 16 bits there. Source: OpenVINO's documentation, "Saturation
    (overflow) issue workaround"; ONNX Runtime's, "Quantize ONNX models", on U8S8.
    """
    sets = instruction_sets()
    if "avx2" not in sets or _EXACT & sets:
        return
    if _has_full_range_weights(manifest.provenance, variant):
        _LOGGER.warning(
            "%s: 8-bit sums may saturate on this processor, which has no VNNI, and words be lost; "
            "make the variant with emf-quantize --seven-bit-weights",
            variant,
        )


def _has_full_range_weights(provenance: Mapping[str, object], variant: Variant) -> bool:
    """What `emf-quantize` noted of a variant; provenance is not validated, so that anything may stand there."""
    found: object = provenance
    for key in ("variants", str(variant), "recipe"):
        found = found.get(key) if isinstance(found, Mapping) else None
    graphs = [graph for graph in found.values() if isinstance(graph, Mapping)] if isinstance(found, Mapping) else []
    return any(graph.get("precision") == "int8" and not graph.get("seven_bit_weights") for graph in graphs)
