"""The project's own protocol, resumable."""
