"""Where trials run: knows s2e, not the service."""
