"""Given labels: their noise, the ones that are likely wrong, and the worth of a few trusted ones."""
