"""The options of a recognizer: their defaults, bounds and help, for `Recognizer.load`, every command and the docs."""

from dataclasses import dataclass, replace
from pathlib import Path

from emf.runtime.artifact.manifest import Manifest
from emf.runtime.artifact.variant import FLOAT, Variant
from emf.runtime.audio.features import FRONTENDS
from emf.runtime.inference.installed import installed_backend
from emf.runtime.inference.session import BACKENDS
from emf.runtime.inference.threads import MAX_THREADS, available_processors
from emf.runtime.options import check_options, option, same_option
from emf.runtime.search.options import SearchOptions


@dataclass(frozen=True, kw_only=True)
class RecognizerOptions:
    """How an artifact is opened and decoded; the help of each field says what it does.

    `None` takes what the artifact or the machine suggests.
    """

    backend: str | None = option(
        None,
        "Run the graphs in this backend.",
        kind=str,
        choices=BACKENDS,
        unset="the artifact's first that is installed",
        group="variant",
    )
    precision: str | None = option(
        None, "Use the variant of this precision, such as int8.", kind=str, unset=FLOAT, group="variant"
    )
    decoding_method: str = same_option(SearchOptions, "decoding_method")
    beam_width: int = same_option(SearchOptions, "beam_width")
    beam_threshold: float = same_option(SearchOptions, "beam_threshold")
    temperature: float = same_option(SearchOptions, "temperature")
    blank_penalty: float | None = same_option(
        SearchOptions, "blank_penalty", default=None, unset="the variant's own, mostly 0"
    )
    step_max_tokens: int = same_option(SearchOptions, "step_max_tokens")
    stable_delay: float | None = option(
        None,
        "Settle a disputed word after this many seconds: hypotheses that disagree with the best one are dropped.",
        kind=float,
        low=0.0,
        high=3600.0,
        unset="never",
        group="search",
    )
    frontend: str | None = option(
        None,
        "Compute features in this way: windowed is torchaudio's streaming extractor, continuous is that of the "
        "unbroken audio.",
        kind=str,
        choices=FRONTENDS,
        unset="the artifact's own",
        group="audio",
    )
    tail_padding: float | None = option(
        None,
        "Append this many seconds of silence when the audio ends.",
        kind=float,
        low=0.0,
        high=60.0,
        unset="the frontend's own",
        group="audio",
    )
    catch_up: bool = option(
        False,
        "Let the encoder take several segments in one pass where a live stream is that far behind, as it does with "
        "files. In INT8 the text may then depend on when the audio came.",
        group="search",
    )
    num_threads: int | None = option(
        None,
        "Use this many threads.",
        kind=int,
        low=1,
        high=MAX_THREADS,
        unset="the processors that this process may use",
        group="machine",
    )
    cache_dir: str | Path | None = option(
        None,
        "Keep OpenVINO's compiled graphs in this folder, to open them quickly the next time; only people whom you "
        "trust may be able to write to it.",
        kind=Path,
        unset="keep none",
        group="machine",
    )

    def __post_init__(self) -> None:
        check_options(self)

    def variant(self, manifest: Manifest) -> Variant:
        """The variant that these options choose."""
        return Variant(self.backend or installed_backend(manifest.backends), self.precision or FLOAT)

    def of_variant(self, variant: Variant) -> "RecognizerOptions":
        """The same options for another variant."""
        return replace(self, backend=variant.backend, precision=variant.precision)

    def search_options(self, manifest: Manifest) -> SearchOptions:
        """How to search, with the variant's own blank penalty unless one was given."""
        penalty = self.blank_penalty
        if penalty is None:
            penalty = manifest.blank_penalties.get(str(self.variant(manifest)), 0.0)
        return SearchOptions(
            decoding_method=self.decoding_method,
            beam_width=self.beam_width,
            beam_threshold=self.beam_threshold,
            temperature=self.temperature,
            blank_penalty=penalty,
            step_max_tokens=self.step_max_tokens,
        )

    @property
    def threads(self) -> int:
        """Threads to use."""
        return available_processors() if self.num_threads is None else self.num_threads

    @property
    def hypotheses(self) -> int:
        """Hypotheses that a stream has at the most."""
        return 1 if self.decoding_method == "greedy" else self.beam_width
