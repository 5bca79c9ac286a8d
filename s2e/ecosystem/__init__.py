"""The searchers inside other people's tools: Optuna and Ray Tune."""
