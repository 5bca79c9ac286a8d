"""The models of scikit-learn that are parts."""

from __future__ import annotations

from typing import Any

from s2e.methods.declared import fitted as declared
from s2e.methods.fitted import N_FOLDS, SMALLEST, Features, Fitted

MOST_SEED = 2**32
"""scikit-learn's seeds are below."""


class Svc(Fitted):
    """One kernel for all classes; the sigmoids are fitted to three folds held out."""

    params: declared.Svc

    def estimator(self, x_SF: Features, seed: int) -> Any:
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.model_selection import StratifiedKFold
        from sklearn.svm import SVC

        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed % MOST_SEED)
        gamma = self.params.width / max(x_SF.shape[1] * float(x_SF.var()), SMALLEST)
        return CalibratedClassifierCV(SVC(C=self.params.penalty, gamma=gamma), cv=folds, ensemble=False)


class Forest(Fitted):
    """Every tree on rows drawn with replacement."""

    params: declared.Forest

    def estimator(self, x_SF: Features, seed: int) -> Any:  # noqa: ARG002
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(
            self.params.n_trees, min_samples_leaf=self.params.leaf, random_state=seed % MOST_SEED
        )


class ExtraTrees(Fitted):
    """Every tree on all rows."""

    params: declared.ExtraTrees

    def estimator(self, x_SF: Features, seed: int) -> Any:  # noqa: ARG002
        from sklearn.ensemble import ExtraTreesClassifier

        return ExtraTreesClassifier(
            self.params.n_trees,
            min_samples_leaf=self.params.leaf,
            max_features=self.params.share,
            random_state=seed % MOST_SEED,
        )


class ComplementBayes(Fitted):
    """Nothing is drawn."""

    params: declared.ComplementBayes

    def estimator(self, x_SF: Features, seed: int) -> Any:  # noqa: ARG002
        from sklearn.naive_bayes import ComplementNB

        return ComplementNB(alpha=self.params.smoothing)


class Logistic(Fitted):
    """Nothing is drawn."""

    params: declared.Logistic

    def estimator(self, x_SF: Features, seed: int) -> Any:  # noqa: ARG002
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.params.penalty, max_iter=self.params.n_steps)


class Boosting(Fitted):
    """All rows in every tree; no early stop, which would look at labels that may be wrong."""

    params: declared.Boosting

    def estimator(self, x_SF: Features, seed: int) -> Any:  # noqa: ARG002
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=self.params.n_rounds,
            learning_rate=self.params.step,
            max_leaf_nodes=self.params.leaves,
            early_stopping=False,
            random_state=seed % MOST_SEED,
        )
