"""Search rules and distributions: numpy and scipy only, so the service imports them without torch."""
