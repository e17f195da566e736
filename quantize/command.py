"""The emf-quantize command: a smaller variant of an artifact."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from emf.quantize.calibration import CalibrationOptions, CalibrationSet, calibrate
from emf.quantize.corpus import read_corpus
from emf.quantize.recipe import COMPONENT_PRECISIONS, PRECISIONS, Recipe, make_recipe
from emf.quantize.variant import PROVENANCE, VariantRequest, add_variant, check_request
from emf.runtime.command_line import CommandParser, Outcome, bounded, command_parser, one_of, progress, run_command
from emf.runtime.errors import UsageError
from emf.runtime.manifest import GRAPH_NAMES, Manifest
from emf.runtime.manifest_file import read_manifest
from emf.runtime.session import BACKENDS
from emf.runtime.speech_manifest import Utterance


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-quantize",
        "Add a smaller variant to an artifact, calibrated on real speech.",
        "emf-quantize artifacts/demo --precision int8 --calibration speech/manifest.tsv",
    )
    parser.add_argument("artifact", type=Path, help="folder that emf-export wrote")
    parser.add_argument("--precision", required=True, choices=(*PRECISIONS, "auto"), help="of the graphs")
    parser.add_argument("--backends", type=one_of(BACKENDS), help="engines; those of the artifact if absent")
    parser.add_argument(
        "--components", type=_components, default={}, metavar="NAME=PRECISION,…", help="exceptions by graph"
    )
    parser.add_argument("--calibration", type=Path, help="manifest.tsv or folder of speech; the demo's if absent")
    parser.add_argument("--num-samples", type=bounded(int, 1, 100_000), default=300, help="inputs kept of each graph")
    parser.add_argument("--seed", type=bounded(int, 0, 2**31), default=0, help="of the choice of inputs")
    parser.add_argument("--name", help="of the variant; after its precision if absent")
    return parser


def _components(text: str) -> dict[str, str]:
    chosen = {}
    for part in text.split(","):
        name, _, precision = part.strip().partition("=")
        if name not in GRAPH_NAMES or precision not in COMPONENT_PRECISIONS:
            raise argparse.ArgumentTypeError(
                f"expected {'|'.join(GRAPH_NAMES)}={'|'.join(COMPONENT_PRECISIONS)} separated by commas, found {part!r}"
            )
        chosen[name] = precision
    return chosen


def _work(options: argparse.Namespace) -> Outcome:
    manifest = read_manifest(options.artifact)
    recipe = make_recipe(options.precision, options.components)
    backends = options.backends or manifest.backends
    request = VariantRequest(options.name or recipe.name, recipe, backends)
    check_request(manifest, request)
    calibration = _calibration(manifest, recipe, options)
    graphs = progress(range(len(backends) * len(GRAPH_NAMES)), None, "quantizing", "graph")
    manifest = add_variant(options.artifact, request, calibration, graphs)
    variants = [describe(manifest, backend, request.name) for backend in backends]
    return Outcome({"artifact": str(options.artifact), "variants": variants}, _describe(variants))


def _calibration(manifest: Manifest, recipe: Recipe, options: argparse.Namespace) -> CalibrationSet | None:
    if not recipe.needs_calibration and options.calibration is None:
        return None

    def show(utterances: Sequence[Utterance]) -> Iterable[Utterance]:
        return progress(utterances, len(utterances), "calibrating", "file")

    chosen = CalibrationOptions(num_samples=options.num_samples, seed=options.seed)
    return calibrate(manifest, read_corpus(options.calibration), chosen, show)


def describe(manifest: Manifest, backend: str, name: str) -> dict[str, Any]:
    """A variant as `--json` prints it."""
    if f"{backend}/{name}" not in manifest.variants:
        raise UsageError(f"expected a variant {backend}/{name}, found {', '.join(manifest.variants)}")
    graphs, source = manifest.variant(backend, name), manifest.variant(backend, "fp32")
    record = manifest.provenance[PROVENANCE][f"{backend}/{name}"]
    size, float_size = (sum(graph.bytes for graph in group.values()) for group in (graphs, source))
    return {
        "name": f"{backend}/{name}",
        "backend": backend,
        "bytes": size,
        "size_ratio": size / float_size,
        "graphs": [
            {
                "name": graph,
                "precision": record["recipe"][graph]["precision"],
                "bytes": graphs[graph].bytes,
                "size_ratio": graphs[graph].bytes / source[graph].bytes,
                "properties": dict(graphs[graph].properties),
                **record["graphs"][graph],
            }
            for graph in GRAPH_NAMES
        ],
    }


def _describe(variants: Sequence[dict[str, Any]]) -> str:
    lines = []
    for variant in variants:
        lines.append(
            f"{variant['name']}: {variant['bytes'] / 2**20:.2f} MiB, {100 * variant['size_ratio']:.1f} % of fp32"
        )
        for graph in variant["graphs"]:
            noise = [f"{name} {value:.1f} dB" for name, value in graph["signal_to_noise_db"].items()]
            lines.append(
                f"  {graph['name']}: {graph['precision']}, {graph['bytes'] / 2**20:.2f} MiB"
                + (f"; signal to noise: {', '.join(noise)}" if noise else "")
            )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_parser(), _work, arguments)
