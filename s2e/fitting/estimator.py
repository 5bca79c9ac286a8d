"""The ways of :class:`s2e.sklearn.NoisyLabelClassifier` with anything but rows of numbers without a budget.

    a mapping, of ``s2e.from_files``      files of one's own
    images [S, H, W] or [S, D, H, W]      written as arrays
    a data frame with text                written as a table
    a torch data set                      its samples as arrays
    ``seconds`` or ``job``                any of them, within a budget, or as a stored plan says

Legend: S rows, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d, validate_data

from s2e.data.datasets import load_whole
from s2e.deadline import Deadline
from s2e.door import parse_job
from s2e.fitting.fit import Fit, fit_again, fit_job, fit_within
from s2e.fitting.model import Networks
from s2e.fitting.race import with_race
from s2e.handed import arrays_of, is_torch_dataset, moments
from s2e.labels.issues import LabelIssues
from s2e.labels.whole import read_whole, train_of
from s2e.machine import usable_cores
from s2e.own_files import Files, from_files, is_files
from s2e.own_frames import SMALLEST_SHARE, as_handed_over, is_frame, written
from s2e.words import JobSpec

MOST_VALIDATE = 5_000


def fit_beyond(
    clf: Any, X: Any, y: Any, deadline: Deadline | None, job: Mapping[str, Any] | None
) -> tuple[Any, Any] | None:
    """Fit ``clf``; rows of numbers without budget and plan are handed back instead, with their labels."""
    if is_files(X):
        if y is not None:
            raise ValueError("y is given, but labels of files are in the files: leave it out")
        fit = _run(clf, *_spec_of(clf, X, may_choose=deadline is not None), deadline, job)
        clf.classes_ = np.array(load_whole(fit.spec.data, _root(X)).class_names)
        _take(clf, fit, fit.issues)
        return None
    if is_torch_dataset(X):
        X, y = arrays_of(X)
    is_more = is_frame(X) or getattr(X, "ndim", 0) > 2
    if not is_more and deadline is None and job is None:
        return X, y
    label_S = _labels(clf, X, y) if is_more else None
    with TemporaryDirectory(prefix="s2e-") as folder, as_handed_over():
        if label_S is None:
            X, label_S = _numbers(clf, X, y)
        files = _written(X, label_S, Path(folder))
        fit = _run(clf, *_spec_of(clf, files, may_choose=deadline is not None), deadline, job)
    _take(clf, fit, fit.issues.by_row(clf.classes_), numbers=not is_more)
    return None


def rows_of(rows: Any) -> Any:
    """New rows as a model reads them: images have channels, and a torch data set gives its samples."""
    if is_torch_dataset(rows):
        rows, _ = arrays_of(rows)
    return np.asarray(rows)[:, None] if not is_frame(rows) and getattr(rows, "ndim", 0) == 3 else rows


# --- to files ---------------------------------------------------------------------------------------------------------


def _labels(clf: Any, X: Any, y: Any) -> NDArray[np.int64]:
    """Numbers of the classes, which ``clf`` gets."""
    if y is None:
        raise ValueError("this estimator requires y to be passed, but the target y is None")
    check_consistent_length(X, y)
    y = column_or_1d(y, warn=True)
    check_classification_targets(y)
    clf.classes_, label_S = np.unique(y, return_inverse=True)
    return np.asarray(label_S)


def _numbers(clf: Any, X: Any, y: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows of numbers, scaled as ``clf`` scales new ones."""
    X, y = validate_data(clf, X, y, dtype=np.float64)
    label_S = _labels(clf, X, y)
    clf._mean_, deviation = moments(X)
    clf._scale_ = np.where(deviation > 0, deviation, 1.0)
    return np.asarray((X - clf._mean_) / clf._scale_, dtype=np.float32), label_S


def _written(X: Any, label_S: NDArray[np.int64], folder: Path) -> Files:
    """Rows with their labels as files of one's own."""
    if is_frame(X):
        return written(X, label_S, folder)
    x = np.asarray(X)
    np.savez(folder / "rows.npz", X=x[:, None] if x.ndim == 3 else x, y=label_S)
    return from_files("arrays", folder / "rows.npz", test_share=SMALLEST_SHARE, rare="keep")


# --- from a job and back ----------------------------------------------------------------------------------------------


def _root(files: Mapping[str, Any]) -> str | None:
    return read_whole(files)[1]


def _spec_of(clf: Any, files: Mapping[str, Any], *, may_choose: bool) -> tuple[JobSpec, str | None]:
    """The job of an estimator: the network that is proposed, with the settings that ``clf`` has."""
    data, root = read_whole(files)
    whole, train = load_whole(data, root), train_of(data, root)
    n_rows = len(whole.train_labels)
    n_validation = min(max(whole.n_classes, round(0.2 * n_rows)), max(1, n_rows // 2), MOST_VALIDATE)
    section = {**dict(files), "params": dict(data.params), "n_validation": n_validation}
    if clf.candidates is not None and not may_choose:
        raise ValueError("candidates are for rows of numbers, and for a budget: name one method")
    method = "coteaching" if clf.method == "auto" else clf.method
    asked: dict[str, Any] = {
        "method": method,
        "network": train.network,
        "batch_size": train.batch_size,
        "n_epochs": clf.n_epochs,
    }
    if train.network == "mlp_tabular":
        asked["network_params"] = {"hidden": list(clf.hidden)}
    seed = int(check_random_state(clf.random_state).randint(2**31 - 1))
    return parse_job(
        {
            "seed": seed,
            "data": section
            if not data.trusted.is_declared
            else {**section, "trusted": {"n_test": 0, **files["trusted"]}},
            "train": {**asked, "n_epochs": clf.n_epochs, "learning_rate": clf.learning_rate},
            "search": {"n_rounds": clf.n_rounds, "n_trials": clf.n_trials},
            "report": {"tau": 0.0 if clf.noise_rate is None else clf.noise_rate},
            "plan": {"population": clf.n_trials},
        }
    ), root


def _run(
    clf: Any,
    spec: JobSpec,
    data_root: str | None,
    deadline: Deadline | None,
    job: Mapping[str, Any] | None,
) -> Fit:
    n_jobs = usable_cores() if clf.n_jobs == -1 else clf.n_jobs or 1
    if job is not None:
        return fit_again(job, spec.data, data_root, n_jobs)
    if deadline is not None:
        chooses = partial(with_race, names=clf.candidates) if clf.method == "auto" else None
        named = clf.candidates is not None
        return fit_within(spec, data_root, clf.noise_rate, deadline, n_jobs, chooses, names_candidates=named)
    return fit_job(spec, data_root, clf.noise_rate, n_jobs)


def _take(clf: Any, fit: Fit, issues: LabelIssues, *, numbers: bool = False) -> None:
    """The attributes of a fitted estimator."""
    clf.job_, clf.report_, clf.label_issues_ = fit.job, fit.report, issues
    clf.schedule_, clf.noise_rate_ = np.array(fit.trained.keep_rate), fit.spec.report.tau
    networks = Networks(fit.trained.described, fit.trained.networks)
    clf.method_, clf._fitted_ = networks.method, None
    if numbers:
        clf._layers_, clf._fitted_ = (
            (networks.dense_layers(), None) if networks.fitted is None else ([], networks.fitted)
        )
        clf.__dict__.pop("_networks_", None)
    else:
        clf._networks_ = networks
        for name in ("n_features_in_", "feature_names_in_"):
            clf.__dict__.pop(name, None)
