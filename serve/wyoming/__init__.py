"""The protocol of Home Assistant's voice services."""
