"""Methods that choose samples: Co-teaching and its relatives, Decoupling, SIGUA."""

from __future__ import annotations

from s2e.methods.declared.dropped import TeachesDropped, TeachesItself
from s2e.parts import MethodPart, method, param
from s2e.parts.data import settings
from s2e.words import JobSpec, Problem


@method("standard", rule="s2e.methods.plain:Standard", ranks=True)
class Standard(MethodPart):
    """Cross entropy on every sample."""


@method("selfteaching", rule="s2e.methods.dropped:selfteaching", scheduled=True, ranks=True)
class SelfTeaching(TeachesItself):
    """One network, trained on its own small-loss samples (self-paced MentorNet, Jiang et al. 2018)."""


@method("decoupling", rule="s2e.methods.decoupling:Decoupling")
class Decoupling(MethodPart):
    """Two networks, each trained on every sample where they disagree (Malach et al. 2017)."""

    warm_up_epochs: int = param(0, ge=0, le=10_000, doc="first epochs, in which every sample counts")
    floor: float = param(
        0.1,
        ge=0,
        le=1,
        doc="share of a batch by which the sum over the disagreement is divided at least (official program 0.1); 0: a "
        "plain mean, however few disagree",
    )


@settings
class Exchange(MethodPart):
    """Two networks, each trained on samples that the other selects."""

    official_double_division: bool = param(
        False,
        doc="divide the mean loss by the number of selected samples once more, as the official programs of Co-teaching,"
        " Co-teaching+ and S2E do: hardly visible with Adam, a hundredth of the step size with SGD",
    )


@method("coteaching", rule="s2e.methods.dropped:coteaching", scheduled=True, ranks=True)
class CoTeaching(TeachesDropped, Exchange):
    """Two networks, each trained on the small-loss samples the other selects (Han et al. 2018)."""


@method(
    "coteaching_plus",
    rule="s2e.methods.coteaching_plus:CoTeachingPlus",
    scheduled=True,
    per_dataset={"mnist": {"warm_up_epochs": 0}, "digits": {"warm_up_epochs": 0}},
)
class CoTeachingPlus(Exchange):
    """Co-teaching on the samples where the two networks disagree, after a warm-up (Yu et al. 2019).

    Defaults from its official program.
    """

    warm_up_epochs: int = param(
        20, ge=0, le=10_000, doc="first epochs, of plain Co-teaching (CIFAR-10 20; MNIST, and so digits, 0)"
    )

    official_double_softmax: bool = param(
        False,
        doc="after the warm-up take the softmax twice, as the official program does, which flattens the gradients: "
        "published figures were made so",
    )


@method("sigua_sl", rule="s2e.methods.sigua:SiguaSL", scheduled=True, ranks=True)
class SiguaSL(MethodPart):
    """One network, gradient descent on small losses and a weak ascent on those that come next (Han et al. 2020).

    The paper gives no delta: the fraction is the official program's, 0.4 at 20 % noise, 0.7 for MNIST with pair noise,
    0.3 else.
    """

    gamma: float = param(0.01, ge=0, le=1, doc="strength of the ascent; 0 is StopGrad (MNIST with pair noise 0.001)")
    fraction: float = param(0.3, ge=0, le=1, doc="how many samples ascend, those of smallest loss among the not kept")
    fraction_of: str = param(
        "forgotten",
        choices=("forgotten", "batch"),
        doc="the fraction counts in the samples not kept (official program) or in the batch (delta of eq. 6)",
    )
    fewest_bad: int = param(
        1,
        ge=0,
        le=65_536,
        doc="samples that ascend at least, where fraction > 0 and as many are left (official program 1)",
    )
    normalise: str = param(
        "batch",
        choices=("batch", "group"),
        doc="batch: sums over B, eq. (3); group: mean of each group, as the published figures were made",
    )


@method("stopgrad", rule="s2e.methods.sigua:StopGrad", scheduled=True)
class StopGrad(MethodPart):
    """SIGUA's prototype without the ascent (Han et al. 2020)."""

    good: str = param(
        "small_loss",
        choices=("small_loss", "oracle"),
        doc="who descends: the R(t) B smallest losses; or, as an experiment that no user of real data can run, the "
        "samples whose label is the true one (the paper's Figure 1)",
    )
    warm_up_epochs: int = param(0, ge=0, le=10_000, doc="first epochs of standard training (the paper's Figure 1: 150)")
    normalise: str = param(
        "batch", choices=("batch", "group"), doc="batch: sums over B, eq. (3); group: mean of each group"
    )

    def check(self, job: JobSpec) -> list[Problem]:
        """An oracle in a job whose true labels are not known."""
        if self.good != "oracle" or job.data.truth_is_known:
            return []
        return [Problem("train.params.good", "oracle", "small_loss: which labels are right is not known (data.labels)")]


@method("sigua", rule="s2e.methods.sigua:Sigua", scheduled=True)
class Sigua(StopGrad):
    """SIGUA's prototype: descent on small losses, a weak ascent on all others (Han et al. 2020, eq. 3)."""

    gamma: float = param(0.001, ge=0, le=1, doc="strength of the ascent on every sample that is not good (Figure 1)")
