"""Methods that learn labels, or treat some samples as unlabelled.

The papers' stages are epochs of trainings of 200 to 320; for digits and MNIST they are set for the 40 of a default job.
"""

from __future__ import annotations

from s2e.methods.declared.regularisation import Mixup
from s2e.methods.declared.stages import never_comes, out_of_order
from s2e.parts import MethodPart, method, param
from s2e.words import JobSpec, Problem

SHORT = ("digits", "mnist")


@method(
    "pencil",
    rule="s2e.methods.pencil:Pencil",
    per_dataset={name: {"label_start": 10, "label_end": 25} for name in SHORT},
)
class Pencil(MethodPart):
    """Label distributions learnt together with the weights (Yi & Wu 2019).

    PENCIL; defaults of its CIFAR-10 rows, epochs of 320.
    """

    label_start: int = param(70, ge=0, le=10_000, doc="epoch from which the label distributions are learnt")
    label_end: int = param(200, ge=1, le=10_000, doc="epoch from which they are fixed and only fitted")
    compatibility: float = param(0.4, ge=0, le=1_000, doc="alpha, weight of staying near the given label")
    entropy: float = param(0.1, ge=0, le=1_000, doc="beta, weight of the entropy of the prediction")
    label_step: float = param(600.0, ge=0, le=1e6, doc="lambda, step size of the label distributions")
    label_scale: float = param(10.0, gt=0, le=100, doc="K, logit of the given label at the start; all others are 0")
    official_double_softmax: bool = param(
        False, doc="take the softmax twice in the compatibility loss, as the program behind the published figures does"
    )

    def check(self, job: JobSpec) -> list[Problem]:
        return [
            *out_of_order("label_end", self.label_end, "label_start", self.label_start),
            *never_comes(self.label_start, job.train, "label_start", self.label_start),
        ]


@method(
    "joint_optim",
    rule="s2e.methods.joint_optim:JointOptim",
    per_dataset={name: {"label_start": 10, "retrain_start": 25} for name in SHORT},
)
class JointOptim(MethodPart):
    """Labels replaced by averaged outputs, then a fresh training on them (Tanaka et al. 2018).

    Defaults of symmetric noise 0.7.
    """

    label_start: int = param(70, ge=1, le=10_000, doc="epochs before the labels are first replaced")
    retrain_start: int = param(
        200, ge=2, le=10_000, doc="epoch at which the networks start anew, on the labels learnt until then"
    )
    window: int = param(10, ge=1, le=100, doc="epochs whose outputs are averaged to a soft label")
    balance: float = param(
        1.2, ge=0, le=1_000, doc="alpha, weight of KL(uniform || mean prediction) (asymmetric noise 0.8)"
    )
    entropy: float = param(0.8, ge=0, le=1_000, doc="beta, weight of the entropy of the prediction (asymmetric 0.4)")

    def check(self, job: JobSpec) -> list[Problem]:
        return [
            *out_of_order("retrain_start", self.retrain_start, "label_start", self.label_start),
            *never_comes(self.retrain_start, job.train, "retrain_start", self.retrain_start),
        ]


@method(
    "m_dyr_h",
    rule="s2e.methods.mdyr:MDyrH",
    per_dataset={name: {"guided_start": 12} for name in SHORT},
)
class MDyrH(Mixup):
    """Mixup with a hard bootstrap guided by a Beta mixture of the losses (Arazo et al. 2019).

    Epochs of 300.
    """

    alpha: float = param(32.0, gt=0, le=1_000, doc="alpha of the Beta(alpha, alpha) that mixes")
    guided_start: int = param(105, ge=0, le=10_000, doc="epochs of plain mixup, before the mixture guides")
    balance: float = param(1.0, ge=0, le=1_000, doc="weight of KL(uniform || mean prediction)")

    def check(self, job: JobSpec) -> list[Problem]:
        return never_comes(self.guided_start, job.train, "guided_start", self.guided_start)


@method(
    "md_dyr_sh",
    rule="s2e.methods.mdyr:MdDyrSh",
    per_dataset={name: {"guided_start": 12, "bootstrap_start": 14, "temperature_epochs": 20} for name in SHORT},
)
class MdDyrSh(MDyrH):
    """Mixing and a soft-to-hard bootstrap guided by a Beta mixture of the losses (Arazo et al. 2019)."""

    bootstrap_start: int = param(110, ge=1, le=10_000, doc="epoch from which predictions stand in for noisy labels")
    temperature_epochs: int = param(
        89, ge=2, le=10_000, doc="epochs over which the temperature of those predictions falls from 1 to 0.001"
    )

    def check(self, job: JobSpec) -> list[Problem]:
        return [
            *out_of_order("bootstrap_start", self.bootstrap_start, "guided_start", self.guided_start),
            *never_comes(self.bootstrap_start, job.train, "bootstrap_start", self.bootstrap_start),
        ]


@method(
    "dividemix",
    rule="s2e.methods.dividemix:DivideMix",
    per_dataset={
        "cifar100": {"warm_up_epochs": 30},
        "digits": {"warm_up_epochs": 5},
        "mnist": {"warm_up_epochs": 1},
    },
)
class DivideMix(MethodPart):
    """Two networks that divide the samples for each other into labelled and unlabelled (Li et al. 2020).

    Defaults of its CIFAR-10 rows, epochs of 300.
    """

    warm_up_epochs: int = param(10, ge=1, le=10_000, doc="epochs of cross entropy before the first division")
    confidence_penalty: bool = param(
        False, doc="add the negative entropy of the prediction while warming up (the paper's asymmetric noise)"
    )
    threshold: float = param(0.5, ge=0, lt=1, doc="a sample is labelled if its posterior of being clean is larger")
    temperature: float = param(0.5, gt=0, le=10, doc="of the sharpened targets")
    alpha: float = param(4.0, gt=0, le=1_000, doc="alpha of the Beta(alpha, alpha) that mixes (Clothing1M 0.5)")
    unlabelled: float = param(
        25.0,
        ge=0,
        le=1_000,
        doc="lambda_u, weight of the unlabelled loss, which the paper tunes to the noise (0 to 150)",
    )
    ramp_epochs: int = param(16, ge=1, le=10_000, doc="epochs after the warm-up over which lambda_u rises from 0")
    loss_window: int = param(
        1, ge=1, le=50, doc="epochs whose losses are averaged before the division (the paper at 90 % noise: 5)"
    )

    def check(self, job: JobSpec) -> list[Problem]:
        return never_comes(self.warm_up_epochs, job.train, "warm_up_epochs", self.warm_up_epochs)
