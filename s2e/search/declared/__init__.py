"""Declarations of the search rules and of the spaces: the only modules of this package that look beyond it."""
