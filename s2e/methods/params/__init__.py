"""Hyperparameters of the methods: typed, documented, with the papers' defaults. Imports no torch, so the API can check.

A method's class of parameters is named on its line of :data:`s2e.catalog.METHODS`.
"""

from s2e.methods.params.base import Params, need_problems, parse_params
from s2e.methods.params.correction import Backward, Forward, NnBC, SiguaBC
from s2e.methods.params.regularisation import Elr, ElrKl, ElrPlus, Mixup, Reweight
from s2e.methods.params.robust import BootstrapHard, BootstrapSoft, Gce, Huber, LogSum, Sce, TruncatedGce
from s2e.methods.params.selection import CoTeaching, CoTeachingPlus, Decoupling, Sigua, SiguaSL, StopGrad
from s2e.methods.params.semi import DivideMix, JointOptim, MdDyrSh, MDyrH, Pencil

__all__ = [
    "Backward",
    "BootstrapHard",
    "BootstrapSoft",
    "CoTeaching",
    "CoTeachingPlus",
    "Decoupling",
    "DivideMix",
    "Elr",
    "ElrKl",
    "ElrPlus",
    "Forward",
    "Gce",
    "Huber",
    "JointOptim",
    "LogSum",
    "MDyrH",
    "MdDyrSh",
    "Mixup",
    "NnBC",
    "Params",
    "Pencil",
    "Reweight",
    "Sce",
    "Sigua",
    "SiguaBC",
    "SiguaSL",
    "StopGrad",
    "TruncatedGce",
    "need_problems",
    "parse_params",
]
