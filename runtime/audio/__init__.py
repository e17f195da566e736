"""From any samples to the encoder's features."""
