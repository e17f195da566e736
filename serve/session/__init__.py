"""One connection's audio in, events out, whatever the protocol."""
