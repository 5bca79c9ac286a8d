"""Models of scikit-learn: no networks, but what wins on tables, on bags of words and under light noise."""

from __future__ import annotations

from s2e.parts import DATASETS, FittedPart, method, param
from s2e.words import DataSpec

LINEAR, NEARLY_LINEAR = 1.0, 1.2
"""Growth of sums over rows, and of n log n."""


@method("svc", rule="s2e.methods.classic:Svc")
class Svc(FittedPart):
    """A support vector machine with a radial kernel, its probabilities by Platt's sigmoids (scikit-learn)."""

    penalty: float = param(1.0, gt=0, le=1e6, doc="C: the larger, the less a wrong side of the margin is forgiven")
    width: float = param(1.0, gt=0, le=1e6, doc="gamma, in units of 1 / (features x their variance)")


@method("forest", rule="s2e.methods.classic:Forest")
class Forest(FittedPart):
    """A random forest (scikit-learn)."""

    growth = NEARLY_LINEAR
    n_trees: int = param(100, ge=1, le=10_000, doc="trees")
    leaf: int = param(1, ge=1, le=10_000, doc="least rows of a leaf: the more, the less a tree repeats wrong labels")


@method("extra_trees", rule="s2e.methods.classic:ExtraTrees")
class ExtraTrees(FittedPart):
    """Extremely randomised trees: every split is the best of one random cut for each feature (scikit-learn)."""

    growth = NEARLY_LINEAR
    n_trees: int = param(100, ge=1, le=10_000, doc="trees")
    leaf: int = param(10, ge=1, le=10_000, doc="least rows of a leaf: the more, the less a tree repeats wrong labels")
    share: float = param(0.5, gt=0, le=1, doc="share of the features that a split looks at")

    def suits(self, data: DataSpec) -> bool:
        """Anything but images."""
        return not DATASETS[data.name].has_images(data)


@method("blend", rule="s2e.methods.blend:Blend")
class Blend(FittedPart):
    """The mean of a few of scikit-learn's models: of smooth ones, those under which held-out labels are likeliest."""

    growth = LINEAR
    n_members: int = param(3, ge=1, le=8, doc="models of the mean")
    n_folds: int = param(5, ge=2, le=20, doc="folds that are held out in turns to choose them")
    n_trees: int = param(100, ge=1, le=10_000, doc="trees of every forest among them")

    def suits(self, data: DataSpec) -> bool:
        """Anything but images."""
        return not DATASETS[data.name].has_images(data)


@method("complement_nb", rule="s2e.methods.classic:ComplementBayes")
class ComplementBayes(FittedPart):
    """Complement naive Bayes, for counts of words and other features that are never negative (scikit-learn)."""

    growth = LINEAR
    smoothing: float = param(1.0, gt=0, le=1e6, doc="alpha, added to every count")

    def suits(self, data: DataSpec) -> bool:
        """Bags of words."""
        return DATASETS[data.name].has_counts(data)


@method("logistic", rule="s2e.methods.classic:Logistic")
class Logistic(FittedPart):
    """Logistic regression (scikit-learn)."""

    growth = NEARLY_LINEAR
    penalty: float = param(1.0, gt=0, le=1e6, doc="C: the smaller, the smaller the weights")
    n_steps: int = param(200, ge=1, le=100_000, doc="most steps of its solver")


@method("boosting", rule="s2e.methods.classic:Boosting")
class Boosting(FittedPart):
    """Boosted trees on binned features (scikit-learn); slow with many features and classes."""

    growth = LINEAR
    n_rounds: int = param(50, ge=1, le=10_000, doc="trees of each class")
    step: float = param(0.1, gt=0, le=1, doc="what each tree counts")
    leaves: int = param(31, ge=2, le=1_000, doc="most leaves of a tree")

    def suits(self, data: DataSpec) -> bool:
        """Anything but images, whose many pixels and classes cost more than trees gain there."""
        return not DATASETS[data.name].has_images(data)
