"""Where sessions are written down, so that another server can go on with them."""
