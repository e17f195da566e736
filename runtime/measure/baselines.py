"""Other implementations of the same model to compare with, found through the entry points of `emf.baselines`."""

from importlib.metadata import entry_points
from typing import Protocol

from emf.runtime.artifact.manifest import Manifest
from emf.runtime.errors import MissingDependency, UsageError
from emf.runtime.measure.latency import Baseline

GROUP = "emf.baselines"


class BaselineFactory(Protocol):
    """What an entry point names."""

    def __call__(
        self, manifest: Manifest, checkpoint: str, config: str | None, beam_width: int, num_threads: int
    ) -> Baseline:
        """Open the baseline.

        Args:
            manifest: of the artifact, whose sizes and frontend the checkpoint must have.
            checkpoint: `demo`, `librispeech` or a file.
            config: JSON file of the model's sizes; `None` is the base model.
            beam_width: hypotheses kept.
            num_threads: threads to compute with.
        """


def baseline_names() -> list[str]:
    """Names of all installed baselines, the plainest first."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def load_baseline(name: str) -> BaselineFactory:
    """The factory of a baseline.

    Raises:
        UsageError: there is none of that name.
        MissingDependency: what it is made with is not installed.
    """
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise UsageError(f"expected a baseline of {', '.join(baseline_names()) or 'none installed'}, found {name!r}")
    try:
        factory: BaselineFactory = next(iter(found)).load()
    except ModuleNotFoundError as error:
        raise MissingDependency.of("the baseline", error.name, "export") from error
    return factory
