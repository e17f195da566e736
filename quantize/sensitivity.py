"""Which matrices of the encoder suffer most from INT8."""

import logging
from dataclasses import replace

from emf.quantize.graphs.files import layer_count
from emf.quantize.recipe import GraphRecipe, make_recipe
from emf.quantize.scratch_artifact import ScratchArtifact
from emf.quantize.variant import PROVENANCE
from emf.runtime.artifact.variant import FLOAT, Variant

_LOGGER = logging.getLogger(__name__)
MAX_GROUPS = 10
OUTPUT = "encoding"


def rank_layers(bench: ScratchArtifact, recipe: GraphRecipe) -> list[int]:
    """The encoder's weight matrices, the most sensitive first.

    Each of at most ten groups of consecutive matrices is quantized alone, all others in float, and
    the encoder's output compared with the float graph's on the calibration set.

    Args:
        bench: where the graphs are made.
        recipe: of the encoder; matrices that it leaves in float anyway stay so.

    Returns:
        Indices of matrices by their order of execution.
    """
    manifest = bench.manifest
    count = layer_count(manifest, manifest.variant(Variant(bench.backend, FLOAT))["encoder"])
    layers = [index for index in range(count) if index not in recipe.float_layers]
    size = -(-len(layers) // MAX_GROUPS)
    groups = [layers[start : start + size] for start in range(0, len(layers), size)]
    noise = []
    for number, group in enumerate(groups):
        alone = replace(recipe, float_layers=tuple(index for index in range(count) if index not in group))
        only = make_recipe("int8", {"predictor": FLOAT, "joiner": FLOAT}).with_graph("encoder", alone)
        variant = bench.make(f"sensitivity{number}", only)
        ratio = bench.manifest.provenance[PROVENANCE][str(variant)]["graphs"]["encoder"]["signal_to_noise_db"][OUTPUT]
        _LOGGER.info("encoder matrices %d to %d alone in INT8: %.1f dB", group[0], group[-1], ratio)
        noise.append((ratio, number))
    return [index for _, number in sorted(noise) for index in groups[number]]
