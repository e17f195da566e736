"""All variants of an artifact compared."""
