"""Measurements with both sides in one run. ``README.md`` is the ledger, ``results/`` the raw JSON."""
