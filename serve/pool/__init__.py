"""Where streams are decoded: this process."""
