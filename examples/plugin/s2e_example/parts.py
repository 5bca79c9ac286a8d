"""The declarations: names, settings, and where the implementations are. Nothing heavy is imported here."""

from __future__ import annotations

from s2e.parts import (
    DatasetPart,
    MethodPart,
    NetworkPart,
    SearcherPart,
    SpacePart,
    dataset,
    method,
    network,
    param,
    searcher,
    space,
)
from s2e.words import JobSpec, Problem


@method("steady_loss", rule="s2e_example.method:SteadyLoss", scheduled=True)
class SteadyLoss(MethodPart):
    """One network, trained on the samples whose running mean of the loss is smallest."""

    memory: float = param(0.5, ge=0, lt=1, doc="weight of the mean so far; 0 looks at the current loss alone")

    def check(self, job: JobSpec) -> list[Problem]:
        """A long memory outlives a short training."""
        if self.memory <= 0.9 or job.train.n_epochs >= 10:
            return []
        return [Problem("train.params.memory", self.memory, "<= 0.9 for fewer than 10 epochs")]


@network("small_cnn", module="s2e_example.network:StackedSmallCnn", min_size=4)
class SmallCnn(NetworkPart):
    """One convolution with batch norm, pooled by 2, and a dense layer."""

    filters: int = param(8, ge=1, le=256, doc="of the convolution")


@dataset("stripes", load="s2e_example.data:load_stripes", n_train=600, n_test=200, n_classes=4, shape=(1, 8, 8))
class Stripes(DatasetPart):
    """800 images of 8x8 pixels: stripes in four directions under noise."""

    contrast: float = param(0.4, gt=0, le=1, doc="of the stripes; the rest of a pixel is noise")


@searcher("around_best", rule="s2e_example.search:AroundBest")
class AroundBest(SearcherPart):
    """Draws ever closer around the best schedule so far."""

    concentration: float = param(5.0, gt=0, le=50, doc="how much narrower the density gets in each round")


@space("ramp", at="s2e_example.search:RAMP")
class Ramp(SpacePart):
    """R(t) falls linearly to 1 - tau within a share of the epochs."""
