"""Hyperparameters of the methods: typed, documented, with the papers' defaults. Imports no torch, so the API can check.

A method's class of parameters is named on its line of :data:`s2e.catalog.METHODS`.
"""

from s2e.methods.params.base import Params, need_problems, parse_params
from s2e.methods.params.robust import BootstrapHard, BootstrapSoft, Gce, Huber, LogSum, Sce
from s2e.methods.params.selection import CoTeachingPlus, Decoupling, SiguaSL

__all__ = [
    "BootstrapHard",
    "BootstrapSoft",
    "CoTeachingPlus",
    "Decoupling",
    "Gce",
    "Huber",
    "LogSum",
    "Params",
    "Sce",
    "SiguaSL",
    "need_problems",
    "parse_params",
]
