"""What all protocols of one server share."""
