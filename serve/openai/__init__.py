"""OpenAI's protocols for transcription: Realtime over a WebSocket, and REST."""
