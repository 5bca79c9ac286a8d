"""Declarations of the methods: names, summaries, hyperparameters with the papers' defaults, and rules. No torch.

Every module of this folder is imported by the registry :data:`s2e.parts.METHODS`.
"""
