"""Graph files of both backends."""
