"""The training engine: K trials x N networks as one stacked program."""
