"""The page that shows live captions in a browser."""
