"""Parts for S2E from another package."""
