"""Declarations of the data sets and of the kinds of label noise. No torch, no numpy.

Every module of this folder is imported by the registry :data:`s2e.parts.DATASETS`. A data set may be one file here: its
declaration, and the function that reads it, which does its imports when called.
"""
