"""What all protocols over WebSockets share."""
