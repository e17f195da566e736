"""What a request is called, and which model answers it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid4, uuid5

from emf.serve.deepgram.messages import ModelInfo, RequestMetadata
from emf.serve.pool.stream_pool import ModelFacts

_ARCH = "emformer-rnnt"
_VERSION = "1"
DEPRECATED = "deprecated"
"""`transaction_key`, as Deepgram fills it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        facts: of the model that answers it.
        id: names it.
        created: when it came.
    """

    facts: ModelFacts
    id: str = field(default_factory=lambda: str(uuid4()))
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def created_text(self) -> str:
        """When it came, as Deepgram writes it."""
        return self.created.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def model_uuid(self) -> str:
        """The same for every request to this model."""
        return str(uuid5(NAMESPACE_URL, f"{_ARCH}/{self.facts.name}"))

    @property
    def model_info(self) -> ModelInfo:
        """Names the model."""
        return ModelInfo(self.facts.name, _VERSION, _ARCH)

    @property
    def metadata(self) -> RequestMetadata:
        """For every result."""
        return RequestMetadata(self.id, self.model_info, self.model_uuid)
