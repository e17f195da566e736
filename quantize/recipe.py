"""What is quantized how, per graph, as plain data that goes into the manifest and comes back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from emf.runtime.artifact.manifest import GRAPH_NAMES
from emf.runtime.artifact.variant import FLOAT
from emf.runtime.errors import UsageError

PRECISIONS = ("int8", "int8-weight", "int4-weight", "bf16")
COMPONENT_PRECISIONS = (FLOAT, *PRECISIONS)
_FLOAT_LAYERS = {("encoder", "int8"): (0,), ("joiner", "int8"): (1,)}


@dataclass(frozen=True, slots=True)
class GraphRecipe:
    """How one graph is quantized.

    Attributes:
        precision: `fp32`, `int8` (weights and activations), `int8-weight`, `int4-weight` or `bf16`.
        group_size: weights of a row that share a scale (`int4-weight`), and activations of a row
            that do where the backend quantizes them as it runs.
        smooth_quant_alpha: how much of the activations' range SmoothQuant moves into the weights
            (`int8`), from 0 to 1; negative leaves it out. Source: arXiv 2211.10438, equation 4.
        seven_bit_weights: use half of the weights' range (`int8`), at the cost of 2 to 5 dB. Processors
            without VNNI add two products of 8 bits in 16 bits, which saturates for the full range.
        float_layers: weight matrices that stay in float32 (`int8`), by their order of execution.
    """

    precision: str
    group_size: int = 64
    smooth_quant_alpha: float = 1.0
    seven_bit_weights: bool = False
    float_layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.precision not in COMPONENT_PRECISIONS:
            raise UsageError(f"expected a precision of {', '.join(COMPONENT_PRECISIONS)}, found {self.precision!r}")
        if self.group_size not in (16, 32, 64, 128, 256):
            raise UsageError(f"expected a group size of 16, 32, 64, 128 or 256, found {self.group_size}")
        if not self.smooth_quant_alpha <= 1.0:
            raise UsageError(f"expected a SmoothQuant alpha of at most 1, found {self.smooth_quant_alpha}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A variant: one recipe for each of the three graphs."""

    graphs: Mapping[str, GraphRecipe] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The variant's usual name: the precision, or those of encoder, predictor and joiner joined by `+`."""
        precisions = [self.graphs[name].precision for name in GRAPH_NAMES]
        return precisions[0] if len(set(precisions)) == 1 else "+".join(precisions)

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations must be known."""
        return any(graph.precision == "int8" for graph in self.graphs.values())

    def with_graph(self, name: str, graph: GraphRecipe) -> "Recipe":
        """The same with another recipe for one graph."""
        return replace(self, graphs={**self.graphs, name: graph})

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return {name: asdict(graph) for name, graph in self.graphs.items()}

    @classmethod
    def from_document(cls, document: Mapping[str, Mapping[str, Any]]) -> "Recipe":
        """From JSON; the inverse of `to_document`."""
        graphs = {name: dict(values) for name, values in document.items()}
        return cls({n: GraphRecipe(**(v | {"float_layers": tuple(v["float_layers"])})) for n, v in graphs.items()})


def default_graph_recipe(name: str, precision: str) -> GraphRecipe:
    """What this project found best for a graph.

    The encoder's first matrix, which reads the log-mel features, stays in float32 for `int8`: one
    scale for all 80 of them costs some 20 dB of the encoder's output, and the matrix is small. So does the
    joiner's second, a single row: the blank decides whether anything is said at all.
    """
    return GraphRecipe(precision, float_layers=_FLOAT_LAYERS.get((name, precision), ()))


def make_recipe(precision: str, components: Mapping[str, str] | None = None, seven_bit_weights: bool = False) -> Recipe:
    """A recipe from a precision for all graphs and exceptions by graph.

    Args:
        precision: of graphs that `components` does not name.
        components: precision by graph.
        seven_bit_weights: see `GraphRecipe`.

    Raises:
        UsageError: no such precision or graph, or nothing would be quantized.
    """
    chosen = dict.fromkeys(GRAPH_NAMES, precision) | dict(components or {})
    unknown = [name for name in chosen if name not in GRAPH_NAMES]
    if unknown:
        raise UsageError(f"expected components of {', '.join(GRAPH_NAMES)}, found {unknown[0]!r}")
    graphs = {name: default_graph_recipe(name, chosen[name]) for name in GRAPH_NAMES}
    recipe = Recipe({name: replace(graph, seven_bit_weights=seven_bit_weights) for name, graph in graphs.items()})
    if recipe.name == FLOAT:
        raise UsageError("expected at least one component other than fp32; the artifact holds that variant already")
    return recipe
