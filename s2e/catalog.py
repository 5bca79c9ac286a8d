"""Names that a job may use, where each lives, and one line about it.

Nothing is imported until :func:`load` asks for it, so the service can list methods without torch.
A new method, network, data set, searcher or space is one file and one line here.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any

from s2e.words import Problem, SpecError
from s2e.words.fields import NAMES
from s2e.words.train import NETWORK_PATTERN


@dataclass(frozen=True)
class Entry:
    """Where a named part lives (``module:attribute``) and what it is, in one sentence."""

    target: str
    summary: str
    params: str = "Params"
    """Class of :mod:`s2e.methods.params` or :mod:`s2e.networks.params` that holds the hyperparameters."""
    min_trials: int = 1
    """Trials a round that a searcher needs: a rule that compares the trials of one round has no step for fewer."""
    short_trials: bool = False
    """Whether a searcher asks for parts of full trainings, to be continued later."""
    needs: frozenset[str] = frozenset()
    """What a method cannot train without: ``clean`` (trusted samples)."""
    min_size: int = 1
    """Pixels, the least height and width of the images a network takes."""


METHODS: dict[str, Entry] = {
    "backward": Entry(
        "s2e.methods.correction:Backward",
        "Backward correction by the inverse of a transition matrix (Patrini et al. 2017); the schedule is ignored.",
        params="Backward",
    ),
    "bootstrap_hard": Entry(
        "s2e.methods.robust:BootstrapHard",
        "Cross entropy with the label mixed with the predicted class (Reed et al. 2015); the schedule is ignored.",
        params="BootstrapHard",
    ),
    "bootstrap_soft": Entry(
        "s2e.methods.robust:BootstrapSoft",
        "Cross entropy with the label mixed with the prediction (Reed et al. 2015); the schedule is ignored.",
        params="BootstrapSoft",
    ),
    "coteaching": Entry(
        "s2e.methods.coteaching:CoTeaching",
        "Two networks, each trained on the small-loss samples the other selects (Han et al. 2018).",
        params="CoTeaching",
    ),
    "coteaching_plus": Entry(
        "s2e.methods.coteaching_plus:CoTeachingPlus",
        "Co-teaching on the samples where the two networks disagree, after a warm-up (Yu et al. 2019).",
        params="CoTeachingPlus",
    ),
    "decoupling": Entry(
        "s2e.methods.decoupling:Decoupling",
        "Two networks, each trained on every sample where they disagree; the schedule is ignored (Malach et al. 2017).",
        params="Decoupling",
    ),
    "dividemix": Entry(
        "s2e.methods.dividemix:DivideMix",
        "Two networks that divide the samples for each other into labelled and unlabelled (Li et al. 2020).",
        params="DivideMix",
    ),
    "elr": Entry(
        "s2e.methods.elr:Elr",
        "Cross entropy with each sample held to its earlier predictions (Liu et al. 2020); the schedule is ignored.",
        params="Elr",
    ),
    "elr_kl": Entry(
        "s2e.methods.elr:ElrKl",
        "The Kullback-Leibler variant of ELR (Liu et al. 2020, appendix C), made to fail; the schedule is ignored.",
        params="ElrKl",
    ),
    "elr_plus": Entry(
        "s2e.methods.elr_plus:ElrPlus",
        "ELR with two networks, mixup and averaged weights (Liu et al. 2020); the schedule is ignored.",
        params="ElrPlus",
    ),
    "forward": Entry(
        "s2e.methods.correction:Forward",
        "Forward correction by a transition matrix (Patrini et al. 2017); the schedule is ignored.",
        params="Forward",
    ),
    "gce": Entry(
        "s2e.methods.robust:GCE",
        "Generalised cross entropy L_q (Zhang & Sabuncu 2018); the schedule is ignored.",
        params="Gce",
    ),
    "gce_truncated": Entry(
        "s2e.methods.robust:TruncatedGCE",
        "L_q without the samples of low probability (Zhang & Sabuncu 2018); the schedule is ignored.",
        params="TruncatedGce",
    ),
    "huber": Entry(
        "s2e.methods.robust:Huber",
        "Huber loss between probabilities and the one-hot label (SIGUA Table 3); the schedule is ignored.",
        params="Huber",
    ),
    "joint_optim": Entry(
        "s2e.methods.joint_optim:JointOptim",
        "Labels replaced by averaged outputs, then a fresh training on them (Tanaka et al. 2018).",
        params="JointOptim",
    ),
    "logsum": Entry(
        "s2e.methods.robust:LogSum",
        "Log-sum loss between probabilities and the one-hot label (SIGUA Table 3); the schedule is ignored.",
        params="LogSum",
    ),
    "m_dyr_h": Entry(
        "s2e.methods.mdyr:MDyrH",
        "Mixup with a hard bootstrap guided by a Beta mixture of the losses (Arazo et al. 2019).",
        params="MDyrH",
    ),
    "md_dyr_sh": Entry(
        "s2e.methods.mdyr:MdDyrSh",
        "Mixing and a soft-to-hard bootstrap guided by a Beta mixture of the losses (Arazo et al. 2019).",
        params="MdDyrSh",
    ),
    "mixup": Entry(
        "s2e.methods.mixup:Mixup",
        "Cross entropy on mixtures of two samples (Zhang et al. 2018); the schedule is ignored.",
        params="Mixup",
    ),
    "pencil": Entry(
        "s2e.methods.pencil:Pencil",
        "Label distributions learnt together with the weights (Yi & Wu 2019).",
        params="Pencil",
    ),
    "reweight": Entry(
        "s2e.methods.reweight:Reweight",
        "Weights by agreement with the gradient of trusted samples (Ren et al. 2018); the schedule is ignored.",
        params="Reweight",
        needs=frozenset({"clean"}),
    ),
    "nnbc": Entry(
        "s2e.methods.correction:NnBC",
        "Backward correction without samples of negative loss (SIGUA, Han et al. 2020); the schedule is ignored.",
        params="NnBC",
    ),
    "sce": Entry(
        "s2e.methods.robust:SCE",
        "Symmetric cross entropy (Wang et al. 2019); the schedule is ignored.",
        params="Sce",
    ),
    "selfteaching": Entry(
        "s2e.methods.selfteaching:SelfTeaching",
        "One network, trained on its own small-loss samples (self-paced MentorNet, Jiang et al. 2018).",
    ),
    "sigua": Entry(
        "s2e.methods.sigua:Sigua",
        "SIGUA's prototype: descent on small losses, a weak ascent on all others (Han et al. 2020).",
        params="Sigua",
    ),
    "sigua_bc": Entry(
        "s2e.methods.correction:SiguaBC",
        "Backward correction, an ascent on samples of negative loss (Han et al. 2020); the schedule is ignored.",
        params="SiguaBC",
    ),
    "sigua_sl": Entry(
        "s2e.methods.sigua:SiguaSL",
        "One network, gradient descent on small losses and a weak ascent on those that come next (Han et al. 2020).",
        params="SiguaSL",
    ),
    "standard": Entry("s2e.methods.plain:Standard", "Cross entropy on every sample; the schedule is ignored."),
    "stopgrad": Entry(
        "s2e.methods.sigua:StopGrad",
        "SIGUA's prototype without the ascent (Han et al. 2020).",
        params="StopGrad",
    ),
}
SCHEDULED = frozenset({"coteaching", "coteaching_plus", "selfteaching", "sigua", "sigua_sl", "stopgrad"})
"""Methods that train differently under another schedule R(t); the others ignore it."""
NETWORKS: dict[str, Entry] = {
    "mlp": Entry("s2e.networks.mlp:StackedMLP", "One hidden layer of 256 ReLU units (S2E Table 4)."),
    "mlp_tabular": Entry(
        "s2e.networks.mlp:StackedTabularMLP",
        "Plain multilayer perceptron for tables and word counts; hidden sizes by network_params, 2 x 256.",
        params="TabularMLP",
    ),
    "model1": Entry(
        "s2e.networks.cnn:StackedModel1",
        "LeNet-like CNN with two 5x5 convolutions (S2E Table 4, Model 1).",
        min_size=16,
    ),
    "model2": Entry(
        "s2e.networks.cnn:StackedModel2",
        "CNN with six 3x3 convolutions and batch norm (S2E Table 4, Model 2).",
        min_size=8,
    ),
    "cnn9": Entry(
        "s2e.networks.cnn:StackedCnn9",
        "9-layer CNN with batch norm and channel dropout (Co-teaching; S2E's Model 3).",
        params="Cnn9",
        min_size=28,
    ),
    "sigua_wide": Entry(
        "s2e.networks.mlp:StackedSiguaWide", "784-10000-100-10 with batch norm (SIGUA Fig. 1), for images of any size."
    ),
    "sigua_deep": Entry(
        "s2e.networks.mlp:StackedSiguaDeep", "784-500x5-10 with batch norm (SIGUA Fig. 1), for images of any size."
    ),
    "resnet34": Entry(
        "s2e.networks.resnet:StackedResNet34", "ResNet-34 with a stem for small images (ELR, GCE).", min_size=8
    ),
    "preact_resnet18": Entry(
        "s2e.networks.resnet:StackedPreActResNet18",
        "Pre-activation ResNet-18 with a stem for small images (ELR+, DivideMix).",
        min_size=8,
    ),
}
TORCHVISION = Entry(
    "s2e.networks.torchvision_classifier:StackedTorchvision",
    "Any torchvision classifier by name, such as torchvision:resnet50; its networks run one after another.",
    params="Torchvision",
    min_size=32,
)
LISTED_NETWORKS = {**NETWORKS, "torchvision:<name>": TORCHVISION}
DATASETS: dict[str, Entry] = {
    "digits": Entry(
        "s2e.data.images:load_digits", "1,797 handwritten digits of 8x8 pixels, shipped with scikit-learn."
    ),
    "mnist": Entry("s2e.data.images:load_mnist", "MNIST: 60,000 + 10,000 images of 28x28 pixels, from the data root."),
    "fashion_mnist": Entry(
        "s2e.data.images:load_fashion_mnist",
        "Fashion-MNIST: 60,000 + 10,000 images of 28x28 pixels, from the data root.",
    ),
    "cifar10": Entry(
        "s2e.data.images:load_cifar10", "CIFAR-10: 50,000 + 10,000 images of 3x32x32 pixels, from the data root."
    ),
    "cifar100": Entry(
        "s2e.data.images:load_cifar100", "CIFAR-100: as CIFAR-10, with 100 fine labels, from the data root."
    ),
    "svhn": Entry("s2e.data.images:load_svhn", "SVHN: 73,257 + 26,032 digits of 3x32x32 pixels, from the data root."),
    "newsgroups20": Entry(
        "s2e.data.text:load_newsgroups20",
        "20 Newsgroups: 11,314 + 7,532 posts as log counts of 5,000 terms, from the data root.",
    ),
    "csv": Entry("s2e.data.tabular:load_csv", "A table of your own: the CSV file data.csv.path below the data root."),
}
SEARCHERS: dict[str, Entry] = {
    "newton": Entry(
        "s2e.search.newton:Newton",
        "S2E's Newton step, repaired: centred objective, Fisher-whitened |lambda| damping, trust region.",
        min_trials=2,
    ),
    "newton_literal": Entry(
        "s2e.search.newton_literal:NewtonLiteral",
        "S2E eqs. (7)-(8) as printed, sign fixed; here to be compared.",
        min_trials=2,
    ),
    "model_newton": Entry(
        "s2e.search.model_newton:ModelNewton",
        "Newton on a surrogate of the schedule curve; trials picked by Thompson sampling over a pool.",
    ),
    "model_newton_rung": Entry(
        "s2e.search.subset_rung:SubsetRung",
        "model_newton above a rung: every schedule on a quarter of the samples first, the best third in full.",
        min_trials=2,
        short_trials=True,
    ),
    "natural_gradient": Entry(
        "s2e.search.natural_gradient:NaturalGradient",
        "A step along F^-1 grad J; baseline and trust region of newton.",
        min_trials=2,
    ),
    "cem": Entry(
        "s2e.search.cem:CrossEntropy",
        "Cross-entropy method: p_theta is refitted to the better half of a round, smoothed, in a trust region.",
        min_trials=2,
    ),
    "gradient": Entry(
        "s2e.search.gradient:Gradient",
        "Gradient descent on J; baseline and trust region of newton.",
        min_trials=2,
    ),
    "official": Entry(
        "s2e.search.official:Official",
        "The rule of the released S2E program with its element-wise product; here to be compared.",
    ),
    "grid": Entry(
        "s2e.search.grid:Grid",
        "Full factorial grids in a small space, Sobol's sequence in others; theta never moves.",
    ),
    "tpe": Entry(
        "s2e.search.optuna_samplers:TPE",
        "Optuna's multivariate TPE with a constant liar, rebuilt from the history at each round; theta never moves.",
    ),
    "gp": Entry(
        "s2e.search.optuna_samplers:GP",
        "Optuna's Gaussian process over the coordinates of a point, rebuilt at each round; theta never moves.",
    ),
    "cmaes": Entry(
        "s2e.search.cma_es:CmaEs",
        "CMA-ES over the unit cube of the space, one generation a round; theta never moves.",
        min_trials=4,
    ),
    "hyperband": Entry(
        "s2e.search.hyperband:Hyperband",
        "Uniform draws trained for a part of the epochs, the best of a rung go on; M x K full trainings in all.",
        short_trials=True,
    ),
    "asha": Entry(
        "s2e.search.asha:Asha",
        "Successive halving that mixes rungs in one round; M x K full trainings in all.",
        short_trials=True,
    ),
    "asng": Entry(
        "s2e.search.asng:Asng",
        "A natural gradient of self-adapting length; one training is carried through all rounds (weight sharing).",
        min_trials=2,
        short_trials=True,
    ),
    "random": Entry("s2e.search.random_search:RandomSearch", "Uniform draws from the space; theta never moves."),
}
SPACES: dict[str, Entry] = {
    "s2e": Entry("s2e.search.space:S2E", "S2E Table 1: four bases mixed by a Dirichlet, sixteen Beta parameters."),
    "s2e_extended": Entry(
        "s2e.search.spaces:S2E_EXTENDED",
        "A mix of S2E Table 1 and eq. (1), so that a plateau can come before the drop.",
    ),
    "s2e_official12": Entry(
        "s2e.search.spaces:S2E_OFFICIAL12", "The twelve numbers of the official S2E program, clipped to [0, 1]."
    ),
    "coteaching": Entry(
        "s2e.search.spaces:COTEACHING", "Eq. (1): tau and t_k uniform, the exponent c one of 0.5, 1 and 2."
    ),
    "single": Entry("s2e.search.spaces:SINGLE", "One basis of S2E Table 1, which of the four is searched too."),
    "single1": Entry("s2e.search.spaces:SINGLE1", "The first basis of S2E Table 1 alone."),
    "single2": Entry("s2e.search.spaces:SINGLE2", "The second basis of S2E Table 1 alone."),
    "single3": Entry("s2e.search.spaces:SINGLE3", "The third basis of S2E Table 1 alone."),
    "single4": Entry("s2e.search.spaces:SINGLE4", "The fourth basis of S2E Table 1 alone."),
    "fixed": Entry(
        "s2e.search.spaces:FIXED",
        "The default Co-teaching schedule for all trials; only search.parameters are searched.",
    ),
    "rbf": Entry("s2e.search.spaces:RBF", "Four Gaussian units of t/T under a sigmoid; R(0) = 1 is not promised."),
    "mlp": Entry("s2e.search.spaces:MLP", "Four ReLU units of t/T under a sigmoid; R(0) = 1 is not promised."),
}


NAMES.update(
    methods=lambda: METHODS,
    networks=lambda: NETWORKS,
    datasets=lambda: DATASETS,
    searchers=lambda: SEARCHERS,
    spaces=lambda: SPACES,
)


def load(table: dict[str, Entry], name: str) -> Any:
    """The object behind ``name``. Raises SpecError for an unknown name."""
    if name not in table:
        raise SpecError(Problem("name", name, "one of " + ", ".join(table)))
    return load_entry(table[name])


def load_entry(entry: Entry) -> Any:
    """The object an entry stands for."""
    module, _, attribute = entry.target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def network_entry(name: str) -> Entry:
    """The entry of a network. Raises SpecError for a name that is neither listed nor torchvision's in form; whether
    torchvision has that classifier shows when it is built."""
    if name in NETWORKS:
        return NETWORKS[name]
    if re.fullmatch(NETWORK_PATTERN, name):
        return TORCHVISION
    raise SpecError(Problem("train.network", name, "one of " + ", ".join(LISTED_NETWORKS)))


def params_of(method: str) -> Any:
    """The dataclass of a method's hyperparameters; the method itself, and torch with it, is not imported."""
    if method not in METHODS:
        raise SpecError(Problem("train.method", method, "one of " + ", ".join(METHODS)))
    return getattr(importlib.import_module("s2e.methods.params"), METHODS[method].params)


def network_params_of(network: str) -> Any:
    """The dataclass of a network's settings; the network itself, and torch with it, is not imported."""
    return getattr(importlib.import_module("s2e.networks.params"), network_entry(network).params)
