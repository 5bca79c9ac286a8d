"""The searchers inside tools of others: Optuna here, Ray Tune in :mod:`s2e.ecosystem.ray_tune`."""
