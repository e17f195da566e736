"""A corpus of recordings to rows of a file: by this process, by several, or by many machines."""
