"""The server that other tests of the service use."""

from tests.serve.conftest import server

__all__ = ["server"]
