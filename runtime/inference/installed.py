"""Which of an artifact's backends is there to run it."""

import importlib.util
import logging
from collections.abc import Sequence

_LOGGER = logging.getLogger(__name__)


def installed_backend(backends: Sequence[str]) -> str:
    """The first of these backends whose package, which has its name, is installed; the first of all without any."""
    for backend in backends:
        if importlib.util.find_spec(backend) is None:
            continue
        if backend != backends[0]:
            _LOGGER.info("%s is not installed: taking %s", backends[0], backend)
        return backend
    return backends[0]
