"""Audio that comes in a container: WAV and other sound files, live or as a whole."""
