"""Deepgram's protocols: live and prerecorded speech, `/v1/listen`."""
