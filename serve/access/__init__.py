"""Who may connect: keys, origins, places."""
