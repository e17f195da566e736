"""The protocol of vosk-server."""
