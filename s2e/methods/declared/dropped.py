"""Settings of methods that train on the samples that R(t) drops too, as on samples without a label."""

from __future__ import annotations

from s2e.parts import MethodPart, param
from s2e.parts.data import settings

TAUGHT = ("pseudo_labels", "consistency")


@settings
class TeachesDropped(MethodPart):
    """A method that selects by R(t) and may use what it drops; the compiled step trains whole epochs of it only where
    it does not."""

    dropped: str = param(
        "nothing",
        choices=("nothing", *TAUGHT),
        doc="what becomes of the samples that R(t) drops. pseudo_labels: the class that the other network predicts "
        "(with one network, itself) is their label, where it is sure; consistency: squared error from the other "
        "network's prediction (with one network, from the running mean of its own)",
    )
    dropped_weight: float = param(
        1.0,
        gt=0,
        le=1_000,
        where=("dropped", TAUGHT),
        doc="what a dropped sample counts beside a kept one",
    )
    dropped_confidence: float = param(
        0.8,
        ge=0,
        lt=1,
        where=("dropped", ("pseudo_labels",)),
        doc="probability from which a prediction becomes a label (0.8 of digits; FixMatch 0.95); 0: every one",
    )

    def by_ranks(self) -> bool:
        return super().by_ranks() and self.dropped == "nothing"


@settings
class TeachesItself(TeachesDropped):
    """The same of a single network."""

    dropped_momentum: float = param(
        0.6,
        ge=0,
        lt=1,
        where=("dropped", ("consistency",)),
        doc="of the running mean of a sample's predictions, one an epoch (temporal ensembling 0.6)",
    )
