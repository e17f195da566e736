"""Many live streams in one process, for services."""
