"""Noisy labels behind scikit-learn's interface: ``s2e.sklearn.NoisyLabelClassifier``.

clf = NoisyLabelClassifier().fit(X, y)          # how wrong y is need not be known
clf.predict(X_new); clf.noise_rate_; clf.schedule_; clf.label_issues_
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from s2e.deadline import Deadline
from s2e.extras import needs
from s2e.handed import arrays_of, is_torch_dataset, moments, slip_of_labels, slip_of_rows
from s2e.own_frames import as_handed_over
from s2e.stages import shown, stage_of, tell
from s2e.words import DataError, JobSpec, Population, Round, RoundRecord, replace

with needs("train"):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data

if TYPE_CHECKING:
    from s2e.chosen import Chosen
    from s2e.labels.issues import LabelIssues
    from s2e.methods.fitted import FittedModel

FILE = "arrays.npz"
SHARE_VALIDATED = 0.2
BATCH = 32
Floats = NDArray[np.float64]


class NoisyLabelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Networks under methods for noisy labels, or a model of scikit-learn, chosen on held-out given labels.

    Parameters
    ----------
    n_rounds, n_trials : int
        Rounds of the search, and trainings of each. Of ``method="auto"``: halvings, of which three change anything, all
        candidates on one seed, half on a second, two on a third. One more training, of all rows, makes the model.
    n_epochs : int
        Epochs of each training.
    hidden : tuple of int
        Units of each hidden layer.
    learning_rate : float
        Step size of Adam.
    noise_rate : float or None
        Share of wrong labels, where it is known. None estimates it by cross-fitting, which also ranks the labels; where
        that is impossible (few rows, labels that are noise) a warning says so and 0 is taken.
    random_state : int, RandomState or None
        A whole number fixes everything.
    method : str
        "auto": a method is chosen among the candidates. Otherwise the name of one, such as "coteaching": two dense
        networks under a keep-rate schedule that is searched. On anything but rows of numbers "auto" is "coteaching",
        unless there is a budget. Where no estimate of the noise fits into it and none is given, a few candidates that
        cost little race, and agreement with held-out labels chooses.
    candidates : sequence of str or None
        Among what "auto" chooses, by method or by label, such as ("coteaching", "svc, reweighted"); None: all that
        suit the data. ``report_["candidates"]`` has them.
    budget : str, float or None
        Seconds, or words such as "5 min", after which :meth:`fit` ends. Candidates, rounds and models then follow from
        what a few steps take here, and ``n_epochs`` is the most; ``job_`` says what was run.
    n_jobs : int or None
        Processes that train, within a budget, on files and by a stored plan: None for one, this one, -1 for as many as
        there are cores. Changes no number but where a budget ends.
    verbose : int
        1 shows on standard error what is being done, beside the time.

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_
        As scikit-learn has them.
    method_ : str
        The method of the model, chosen or given.
    schedule_ : ndarray of shape (n_epochs,)
        R(t), the share of each mini-batch that was kept: 1 for a method that keeps all.
    noise_rate_ : float
        Given, or estimated.
    label_issues_ : s2e.labels.issues.LabelIssues
        Every label's rank from wrong to right. Where ``noise_rate`` was given, or nothing could be estimated, from the
        margins of the search's own trainings of networks: no probabilities then, and the rows that validated, by
        ``split``, are ranked among each other, because no network trained on them.
    report_ : dict
        The trainings of the search: schedule and accuracy on held-out given labels, the best posterior mean, and the
        estimate with its interval. Of ``method="auto"`` the candidates, best first, and what they were chosen by. Of
        files and frames with text notes on how they were read.
    job_ : dict
        Of a fit within a budget or on files: the plan that was run, as plain JSON. ``fit(X, y, job=clf.job_)`` gives
        the same numbers, however many processes train.
    """

    def __init__(
        self,
        n_rounds: int = 3,
        n_trials: int = 6,
        n_epochs: int = 40,
        hidden: tuple[int, ...] = (256,),
        learning_rate: float = 1e-3,
        noise_rate: float | None = None,
        random_state: Any = None,
        method: str = "auto",
        candidates: Sequence[str] | None = None,
        budget: str | float | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_rounds = n_rounds
        self.n_trials = n_trials
        self.n_epochs = n_epochs
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.noise_rate = noise_rate
        self.random_state = random_state
        self.method = method
        self.candidates = candidates
        self.budget = budget
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, *, seconds: float | None = None, job: Mapping[str, Any] | None = None) -> Self:
        """Search a schedule for the rows ``X`` [S, F] with the labels ``y`` [S], and train under it.

        ``X`` may also be images (uint8, [S, H, W] or [S, D, H, W]), a data frame with columns of text, a torch data set
        of (sample, label), or files: ``s2e.from_files("images", "~/flowers")``; the last two have their labels with
        them. ``seconds`` stands for ``budget``. ``job`` is what another fit of the same rows has stored as ``job_``.

        Raises ValueError for data that are no rows of numbers with two classes or more, SpecError for settings out of
        their range, MissingExtraError where torch is not installed.
        """
        deadline = Deadline.of(self.budget, "budget") if seconds is None else Deadline.of(seconds, "seconds")
        if slip := slip_of_rows(X) or slip_of_labels(y):
            raise ValueError(slip)
        with shown(None if deadline is None else deadline.seconds) if self.verbose else nullcontext():
            return self._fit(X, y, deadline, job)

    def _fit(self, X: Any, y: Any, deadline: Deadline | None, job: Mapping[str, Any] | None) -> Self:
        with needs("train"):
            from s2e.fitting.estimator import fit_beyond

        if (rows := fit_beyond(self, X, y, deadline, job)) is None:
            return self
        X, y = rows
        self.__dict__.pop("_networks_", None)
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, label_S = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("Classifier can't train when only one class is present.")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._mean_, deviation = moments(X)
        self._scale_ = np.where(deviation > 0, deviation, 1.0)
        scaled = self._scaled(X)
        spec = self._spec(len(label_S), len(self.classes_), seed)
        self.label_issues_, spec = self._with_noise(scaled, label_S, spec, seed)
        with TemporaryDirectory(prefix="s2e-") as root, as_handed_over():
            _write(Path(root), scaled, label_S)
            outcome = self._outcome(spec, root)
            if self.label_issues_ is None:
                self.label_issues_ = self._free_issues(outcome, len(label_S), spec, root)
        self.schedule_ = np.array(outcome.keep_rate)
        self.noise_rate_ = spec.report.tau
        self.report_ = {**outcome.report, "noise": spec.data.estimate}
        self.method_ = outcome.method
        self._layers_, self._fitted_ = outcome.networks, outcome.fitted
        return self

    def _outcome(self, spec: JobSpec, root: str) -> _Outcome:
        """The trained model, of the chosen method or under the searched schedule."""
        if self.method != "auto":
            return _search(spec, root)
        from s2e.chosen import choose

        return _of_choice(choose(spec, self.candidates, self.n_rounds, root))

    def predict_proba(self, X: Any) -> Floats:
        """Probability of each class [S, C]: the mean over the model's networks."""
        check_is_fitted(self)
        if hasattr(self, "_networks_"):
            from s2e.fitting.estimator import rows_of

            p_SC: Floats = self._networks_.predict_proba(rows_of(X))
            return p_SC
        if is_torch_dataset(X):
            X, _ = arrays_of(X)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        if self._fitted_ is not None:
            return self._fitted_.predict_proba(self._scaled(X))
        x = self._scaled(X).astype(np.float64)
        p_NSC = [_softmax(_forward(layers, x)) for layers in self._layers_]
        return np.asarray(np.mean(p_NSC, axis=0))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row [S]."""
        p_SC = self.predict_proba(X)
        return np.asarray(self.classes_[p_SC.argmax(1)])

    def save(self, path: str | Path) -> Path:
        """Write the model as one .safetensors file, with a .json beside it, and return its path.

        :func:`s2e.load_model` and ``s2e predict`` read it, without this class and without a pickle. Raises SpecError
        for a path with another suffix.
        """
        check_is_fitted(self)
        from s2e.fitting.saved import save_fitted

        return save_fitted(self, path)

    def _scaled(self, X: Floats) -> NDArray[np.float32]:
        return np.asarray((X - self._mean_) / self._scale_, dtype=np.float32)

    def _spec(self, n_rows: int, n_classes: int, seed: int) -> JobSpec:
        from s2e.door import parse_job

        n_validation = min(max(n_classes, round(SHARE_VALIDATED * n_rows)), max(1, n_rows // 2))
        data = {"name": "arrays", "params": {"path": FILE, "rare": "keep"}, "n_validation": n_validation}
        train = {
            "method": "coteaching" if self.method == "auto" else self.method,
            "network": "mlp_tabular",
            "network_params": {"hidden": list(self.hidden)},
            "n_epochs": self.n_epochs,
            "batch_size": max(1, min(BATCH, (n_rows - n_validation) // 2)),
            "learning_rate": self.learning_rate,
        }
        search = {"n_rounds": self.n_rounds, "n_trials": self.n_trials}
        report = {"tau": 0.0 if self.noise_rate is None else self.noise_rate}
        plan = {"population": self.n_trials}
        return parse_job({"seed": seed, "data": data, "train": train, "search": search, "report": report, "plan": plan})

    def _with_noise(self, x: NDArray[np.float32], label_S: Any, spec: JobSpec, seed: int) -> tuple[Any, JobSpec]:
        """Every label's rank, and the job with tau and the estimate."""
        if self.noise_rate is not None:
            return None, spec
        from s2e.labels.audit import find_label_issues
        from s2e.prepare import in_words

        tell(f"how many labels are wrong: folds of {len(x)} rows")
        try:
            issues = find_label_issues(x, self.classes_[label_S], train=spec.train, seed=seed)
        except DataError as error:
            warnings.warn(f"noise_rate is taken as 0: {error}", UserWarning, stacklevel=3)
            return None, spec
        assert issues.noise is not None
        estimate = in_words(issues.noise)
        spec = replace(
            spec,
            data=replace(spec.data, estimate=estimate),
            report=replace(spec.report, tau=estimate.noise_rate),
        )
        return issues, spec

    def _free_issues(self, outcome: _Outcome, n_rows: int, spec: JobSpec, root: str) -> LabelIssues:
        """The audit by the search's own trainings; of the rows that validated by networks that did not see them."""
        from s2e.labels.free_issues import free_issues
        from s2e.labels.issues import LabelIssues

        free = free_issues(spec.data, root, float(spec.report.tau or 0), outcome.margins)
        columns = {name: value[:n_rows] for name, value in free.columns().items()}
        for name in ("given_label", "predicted_label"):
            columns[name] = self.classes_[columns[name].astype(np.int64)]
        return LabelIssues(**columns, noise=None, held_out=None)


@dataclass(frozen=True)
class _Outcome:
    keep_rate: tuple[float, ...]
    report: Mapping[str, Any]
    networks: list[list[tuple[Floats, Floats]]]
    """Of each network the weights [out, in] and biases of its layers."""
    margins: list[Any]
    """The margins of each training on the labels it learned, in the order of (round, k)."""
    method: str
    fitted: FittedModel | None = None
    """Instead of networks."""


def _write(root: Path, x: NDArray[np.float32], label_S: NDArray[Any]) -> None:
    """The rows, and a few of them again as test rows: a search has to measure some, and nobody is shown what."""
    _, first = np.unique(label_S, return_index=True)
    np.savez(root / FILE, X=x, y=label_S, X_test=x[first], y_test=label_S[first])


def _search(spec: JobSpec, root: str) -> _Outcome:
    from s2e.jobs.loop import populations
    from s2e.jobs.search import make_searcher, recommend_from, search_round
    from s2e.jobs.trials import make_repeat

    history: list[RoundRecord] = []
    margins: list[Any] = []
    searcher = make_searcher(spec)
    while (round_ := search_round(spec, history, searcher)) is not None:
        ends = [_train(each, root) for each in populations(spec, round_)]
        results = [result for end in ends for result in end.results]
        history.append(RoundRecord(round_, tuple(sorted(results, key=lambda result: result.k))))
        of_round = [pair for end in ends for pair in zip(end.results, end.margins, strict=True)]
        margins += [said for _, said in sorted(of_round, key=lambda pair: pair[0].k) if said is not None]
    best = recommend_from(spec, history)
    if best is None:
        raise DataError("every training failed: try a smaller learning_rate, or features of a smaller scale")
    m, k = best
    trial = history[m].round.trials[k]
    again = make_repeat(spec, len(history), 0, "searched", trial.keep_rate, trial.train, ("retrain", 1))
    end = _train(populations(spec, Round(len(history), "retrain", (again,)))[0], root)
    if end.models[0] is None:
        raise DataError(f"the last training failed: {end.results[0].reason}")
    trials = [
        {"keep_rate": trial.keep_rate, "validation_accuracy": result.validation_accuracy}
        for record in history
        for trial, result in zip(record.round.trials, record.results, strict=True)
    ]
    return _Outcome(
        trial.keep_rate,
        {"trials": trials, "recommended": best},
        _layers(end.models[0]),
        [*margins, *end.margins],
        spec.train.method,
    )


def _of_choice(chosen: Chosen) -> _Outcome:
    from s2e.fitted_model import from_tensors, is_fitted

    margins, method = list(chosen.margins), chosen.entry.method
    if is_fitted(chosen.model):
        return _Outcome(chosen.keep_rate, chosen.report, [], margins, method, from_tensors(chosen.model, method))
    return _Outcome(chosen.keep_rate, chosen.report, _layers(chosen.model), margins, method)


def _train(population: Population, root: str) -> Any:
    from s2e.train.trial import train_population

    tell(stage_of([population]))
    *_, end = train_population(population, data_root=root)
    return end


def _layers(model: Mapping[str, Any]) -> list[list[tuple[Floats, Floats]]]:
    """Dense layers in their order, as arrays: the estimator pickles and predicts without torch."""
    networks: dict[str, dict[str, Any]] = {}
    for name, tensor in model.items():
        network, _, rest = name.partition(".")
        networks.setdefault(network, {})[rest] = tensor.double().numpy()
    return [
        [(state[name], state[name.removesuffix("weight") + "bias"]) for name in state if name.endswith("weight")]
        for _, state in sorted(networks.items())
    ]


def _forward(layers: list[tuple[Floats, Floats]], x: Floats) -> Floats:
    """Logits [S, C]: ReLU between the layers."""
    for weight, bias in layers[:-1]:
        x = np.maximum(x @ weight.T + bias, 0)
    weight, bias = layers[-1]
    return np.asarray(x @ weight.T + bias)


def _softmax(logits_SC: Floats) -> Floats:
    p_SC = np.exp(logits_SC - logits_SC.max(1, keepdims=True))
    return np.asarray(p_SC / p_SC.sum(1, keepdims=True))
