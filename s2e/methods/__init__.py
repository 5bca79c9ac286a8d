"""Training methods: each is a per-sample loss x a weighting rule."""
