"""The searchers inside tools of others: Optuna here, Ray Tune in :mod:`workers.ray_tune`."""
