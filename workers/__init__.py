"""Places where trials run. Knows s2e, not the service."""
