"""Reports as pages: their parts as values, then HTML in one file, Markdown and SVG. Knows nothing of what it shows."""
