"""The emf-quantize command: a smaller variant of an artifact."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from emf.quantize.auto import AutoSearch
from emf.quantize.calibration import CalibrationOptions, CalibrationSet, calibrate
from emf.quantize.candidates import Choice
from emf.quantize.corpus import read_corpus
from emf.quantize.recipe import COMPONENT_PRECISIONS, PRECISIONS, make_recipe
from emf.quantize.scratch_artifact import scratch_artifact
from emf.quantize.variant import PROVENANCE, VariantRequest, add_variant, check_request
from emf.runtime.artifact.manifest import GRAPH_NAMES, Manifest
from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.variant import Variant
from emf.runtime.commands.command_line import (
    CommandParser,
    Outcome,
    bounded,
    command_parser,
    one_of,
    run_command,
)
from emf.runtime.commands.progress import progress
from emf.runtime.commands.recognizer_flags import VARIANT_OPTIONS, add_recognizer_flags, read_decoding
from emf.runtime.errors import UsageError
from emf.runtime.inference.session import BACKENDS
from emf.runtime.pages.text import text_table
from emf.runtime.speech.utterances import Utterance


def make_parser() -> CommandParser:
    """The command's flags."""
    parser = command_parser(
        "emf-quantize",
        "Add a smaller variant to an artifact, calibrated on real speech.",
        "emf-quantize artifacts/demo --precision int8 --calibration speech/manifest.tsv",
    )
    parser.add_argument("artifact", type=Path, help="Open this folder, which emf-export wrote.")
    parser.add_argument(
        "--precision",
        required=True,
        choices=(*PRECISIONS, "auto"),
        help="Quantize the graphs like this; auto searches for the fastest variant within a budget.",
    )
    parser.add_argument(
        "--backends",
        type=one_of(BACKENDS),
        help="Make the variant for these backends, separated by commas. Default: the artifact's.",
    )
    parser.add_argument(
        "--components",
        type=_components,
        default={},
        metavar="NAME=PRECISION,…",
        help="Quantize these graphs otherwise.",
    )
    recording = parser.add_argument_group("calibration")
    recording.add_argument(
        "--calibration",
        type=Path,
        help="Calibrate on this manifest.tsv or folder of speech. Default: the demo's recordings.",
    )
    recording.add_argument(
        "--calibration-seconds",
        type=bounded(float, 1, 1e6),
        default=600.0,
        help="Decode at most this much audio to calibrate. Default: 600.",
    )
    recording.add_argument(
        "--num-samples",
        type=bounded(int, 1, 100_000),
        default=300,
        help="Keep this many inputs of each graph. Default: 300.",
    )
    recording.add_argument(
        "--seed", type=bounded(int, 0, 2**31), default=0, help="Choose the inputs with this seed. Default: 0."
    )
    auto = parser.add_argument_group("search with --precision auto")
    auto.add_argument(
        "--dev",
        type=Path,
        help="Let auto search on this manifest.tsv with transcripts, some twenty times for each backend.",
    )
    auto.add_argument(
        "--max-wer-increase",
        type=bounded(float, -1, 1),
        default=0.002,
        help="Allow auto this much more WER than fp32 has; 0.002 is 0.2 points. Default: 0.002.",
    )
    parser.add_argument(
        "--seven-bit-weights",
        action="store_true",
        help="Use half of the range of int8 weights, for processors without VNNI; less exact.",
    )
    parser.add_argument("--name", help="Call the variant this. Default: its precision.")
    add_recognizer_flags(parser, omit=VARIANT_OPTIONS, heading="decoding with --precision auto: ")
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
    backends = options.backends or manifest.backends
    if options.precision == "auto":
        return _work_auto(manifest, backends, options)
    if options.dev is not None:
        raise UsageError(f"--dev belongs to --precision auto, found --precision {options.precision}; leave one out")
    recipe = make_recipe(options.precision, options.components, options.seven_bit_weights)
    if options.seven_bit_weights and not recipe.needs_calibration:
        raise UsageError(f"--seven-bit-weights belongs to --precision int8, found {recipe.name}; leave it out")
    request = VariantRequest(options.name or recipe.name, recipe, backends)
    check_request(manifest, request)
    calibration = _calibration(manifest, recipe.needs_calibration, options)
    graphs = progress(range(len(backends) * len(GRAPH_NAMES)), None, "quantizing", "graph")
    manifest = add_variant(options.artifact, request, calibration, graphs)
    return _outcome(options, manifest, backends, request.name, {})


def _work_auto(manifest: Manifest, backends: Sequence[str], options: argparse.Namespace) -> Outcome:
    """Search for each backend, then add what was found for all of them."""
    name = options.name or "auto"
    if options.dev is None or options.components:
        raise UsageError("--precision auto needs --dev manifest.tsv to search on, and chooses --components itself")
    if options.seven_bit_weights:
        raise UsageError("--seven-bit-weights belongs to --precision int8, found --precision auto; leave it out")
    check_request(manifest, VariantRequest(name, make_recipe("int8"), backends))
    dev = read_corpus(options.dev, transcripts=True)
    calibration = _calibration(manifest, True, options)
    decoding = read_decoding(options, omit=VARIANT_OPTIONS)
    choices: dict[str, Choice] = {}
    for backend in backends:
        with scratch_artifact(manifest, backend, calibration) as bench:
            choices[backend] = AutoSearch(bench, dev, decoding, options.max_wer_increase).run()
    for backend, choice in choices.items():
        notes = {"auto": choice.to_document()}
        request = VariantRequest(name, choice.best.recipe, (backend,), choice.best.blank_penalty, notes)
        manifest = add_variant(options.artifact, request, calibration)
    return _outcome(options, manifest, backends, name, choices)


def _outcome(
    options: argparse.Namespace, manifest: Manifest, backends: Sequence[str], name: str, choices: Mapping[str, Choice]
) -> Outcome:
    variants = [describe(manifest, backend, name) for backend in backends]
    document: dict[str, Any] = {"artifact": str(options.artifact), "variants": variants}
    if choices:
        document["auto"] = {backend: choice.to_document() for backend, choice in choices.items()}
    reasons = [f"{backend}: {choice.reason()}" for backend, choice in choices.items()]
    return Outcome(document, "\n".join([_describe(variants), *reasons]))


def _calibration(manifest: Manifest, needed: bool, options: argparse.Namespace) -> CalibrationSet | None:
    if not needed and options.calibration is None:
        return None

    def show(utterances: Sequence[Utterance]) -> Iterable[Utterance]:
        return progress(utterances, len(utterances), "calibrating", "file")

    chosen = CalibrationOptions(options.num_samples, options.seed, max_seconds=options.calibration_seconds)
    return calibrate(manifest, read_corpus(options.calibration), chosen, show)


def describe(manifest: Manifest, backend: str, name: str) -> dict[str, Any]:
    """A variant as `--json` prints it."""
    variant = Variant(backend, name)
    graphs, source = manifest.variant(variant), manifest.variant(variant.float_variant)
    record = manifest.provenance[PROVENANCE][str(variant)]
    size, float_size = (sum(graph.bytes for graph in group.values()) for group in (graphs, source))
    return {
        "name": str(variant),
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
        rows = [
            [
                graph["name"],
                graph["precision"],
                f"{graph['bytes'] / 2**20:.2f}",
                ", ".join(f"{name} {value:.1f}" for name, value in graph["signal_to_noise_db"].items()),
            ]
            for graph in variant["graphs"]
        ]
        lines += [*text_table(("graph", "precision", "MiB", "signal to noise, dB"), rows), ""]
    return "\n".join(lines).rstrip("\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(make_parser(), _work, arguments)
