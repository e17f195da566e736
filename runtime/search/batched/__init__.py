"""The search of many streams at once: the same searches as `emf.runtime.search`, over arrays."""
