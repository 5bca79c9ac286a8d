"""The audit of a job's given labels: which are likely wrong, by its own trainings, or by cross-fitted ones.

Numpy alone. Legend: S rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.door import read_job
from s2e.labels.free import TrialMargins, free_scores, held_out_scores
from s2e.labels.kept import SPLITS, CrossFitted, GivenLabels, cross_fitted_path, labels_path, load, load_margins
from s2e.words import SPEC_VERSION, DataError, JobSpec
from s2e.words.answers import JobLabel, JobLabels

SCORES = ("cross_fitted", "free")
"""Kinds of audits, by the trainings that judge; the better one first."""
FREE_NOTE = (
    "a rank, not a probability: networks learned from the training labels that they judge, so their margins say which "
    "labels are more likely wrong, not how likely. Rows that validate or test trained nothing and are ranked apart; of "
    "them as many are taken to be wrong as lie below the margin that the estimated share of validation rows is below"
)
BINARY_NOTE = (
    "a rank: of two classes, wrong labels and rows that are hard to tell apart look alike, so no probability is given"
)
FITTED_NOTE = (
    "probability_wrong has the estimated noise rate as its mean; where classes are hard to tell apart, single rows are "
    "judged too surely (measured calibration error: .01 under pair noise, .07 on labels that people gave)"
)


UNKNOWN_NOTE = "how many labels are wrong could not be estimated, so none is called an issue"


@dataclass(frozen=True, eq=False)
class JobAudit:
    """One value for each row of a job, the worst first; columns as cleanlab names them."""

    id: NDArray[Any]
    is_label_issue: NDArray[np.bool_]
    """The worst rows, as many as labels are estimated to be wrong."""
    label_quality: NDArray[np.float64]
    """In (0, 1]: the mean rank of the label among those it can be compared with; near 0 the one that is most likely
    wrong."""
    given_label: NDArray[Any]
    predicted_label: NDArray[Any]
    """The class the row more likely has; of an issue always another than the given one, where one was ever seen."""
    probability_wrong: NDArray[np.float64]
    """NaN where it would not be calibrated; ``note`` says why."""
    split: NDArray[np.str_]
    """The part the row belongs to: train, validation or test. Networks that judge the last two trained on neither."""
    row: NDArray[np.int64]
    """Its number among the rows: those that train, then those that validate, then those that test."""
    other: NDArray[np.int64]
    """Class number of the likeliest class beside the given one; the given one where no other was ever seen."""
    score: str
    note: str
    n_trainings: int
    """Trainings that judged; 0 for cross-fitted ones."""

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.row)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns for users by name, as ``pandas.DataFrame`` or ``pyarrow.table`` takes them."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = ("id", "is_label_issue", "label_quality", "given_label", "predicted_label", "probability_wrong", "split")


@dataclass(frozen=True, eq=False)
class _Verdict:
    """Of each row, before trusted labels and the order."""

    score_S: NDArray[np.float64]
    likely_S: NDArray[np.int64]
    other_S: NDArray[np.int64]
    wrong_S: NDArray[np.float64]
    n_wrong: Mapping[str, int]
    """Labels that are taken to be wrong, by split."""


def audit(
    labels: GivenLabels,
    noise_rate: float | None,
    trainings: Sequence[TrialMargins] = (),
    fitted: CrossFitted | None = None,
) -> JobAudit:
    """The verdict of cross-fitted networks where there is one, else of ``trainings`` in the order of (round, k). Where
    ``noise_rate`` is not known, labels are ranked, and none is called an issue.

    Rows of which nothing is known are left out: files of earlier releases say nothing of those that do not train.
    """
    n_classes = len(labels.name_C)
    if fitted is not None:
        labels = labels.first(len(fitted.score_S))
        verdict, note = _of_folds(labels, noise_rate or 0.0, fitted), FITTED_NOTE if n_classes > 2 else BINARY_NOTE
    else:
        n_held_out = {training.held_margin_NH.shape[1] for training in trainings}
        labels = labels if n_held_out == {len(labels) - labels.n_train} else labels.first(labels.n_train)
        verdict, note = _of_trainings(labels, noise_rate or 0.0, trainings), FREE_NOTE
    is_wrong_S = np.zeros(len(labels), dtype=bool)
    for split, n_wrong in verdict.n_wrong.items():
        mine = np.flatnonzero((labels.split_S == split) & ~labels.is_trusted_S)
        is_wrong_S[mine[np.argsort(verdict.score_S[mine], kind="stable")[:n_wrong]]] = True
    # a label that is known to be right stands last, whatever networks make of it
    score_S = np.where(labels.is_trusted_S, 1.0, verdict.score_S)
    chance_S = np.where(labels.is_trusted_S, 0.0, verdict.wrong_S)
    likely_S = np.where(is_wrong_S, verdict.other_S, verdict.likely_S)
    likely_S = np.where(labels.is_trusted_S, labels.label_S, likely_S)
    order = np.lexsort((score_S, labels.is_trusted_S))
    return JobAudit(
        id=labels.id_S[order],
        is_label_issue=is_wrong_S[order],
        label_quality=score_S[order],
        given_label=labels.name_C[labels.label_S[order]],
        predicted_label=labels.name_C[likely_S[order]],
        probability_wrong=chance_S[order],
        split=labels.split_S[order],
        row=order,
        other=verdict.other_S[order],
        score="free" if fitted is None else "cross_fitted",
        note=note if noise_rate is not None else f"{UNKNOWN_NOTE}. {note[:1].upper()}{note[1:]}",
        n_trainings=0 if fitted is not None else len(trainings),
    )


def _of_folds(labels: GivenLabels, noise_rate: float, fitted: CrossFitted) -> _Verdict:
    """As many labels of rows that train nothing are taken to be wrong as their probabilities add up to."""
    wrong_S = fitted.probability_wrong_S
    n_wrong = {split: round(float(wrong_S[labels.split_S == split].sum())) for split in SPLITS[1:]}
    # of two classes the number would not be a probability
    shown_S = wrong_S if len(labels.name_C) > 2 else np.full(len(wrong_S), np.nan)
    n_wrong[SPLITS[0]] = round(noise_rate * _n_doubtful(labels))
    return _Verdict(fitted.score_S, fitted.likely_S, fitted.other_S, shown_S, n_wrong)


def _n_doubtful(labels: GivenLabels) -> int:
    """Rows that train with labels that may be wrong: those that a noise rate is of."""
    return int(((labels.split_S == SPLITS[0]) & ~labels.is_trusted_S).sum())


def _of_trainings(labels: GivenLabels, noise_rate: float, trainings: Sequence[TrialMargins]) -> _Verdict:
    n, n_classes = labels.n_train, len(labels.name_C)
    parts = [free_scores(trainings, labels.label_S[:n], n_classes)]
    n_wrong = {SPLITS[0]: round(noise_rate * _n_doubtful(labels))}
    if len(labels) > n:
        others = labels.split_S[n:]
        # validation rows are drawn from those that train, so their share of wrong labels is known; if all are trusted,
        # the test rows have only themselves to be compared with
        among = SPLITS[1] if (~labels.is_trusted_S[n:] & (others == SPLITS[1])).any() else SPLITS[2]
        among_H = others == among
        parts.append(held_out_scores(trainings, labels.label_S[n:], n_classes, among_H))
        score_H = parts[1].score_S
        n_among = round(noise_rate * among_H.sum())
        below = np.sort(score_H[among_H])[n_among - 1] if n_among else -np.inf
        n_wrong |= {split: int((score_H[others == split] <= below).sum()) for split in SPLITS[1:]}
    score_S, likely_S, other_S = (
        np.concatenate(of_parts)
        for of_parts in zip(*((part.score_S, part.likely_S, part.other_S) for part in parts), strict=True)
    )
    return _Verdict(score_S, likely_S, other_S, np.full(len(labels), np.nan), n_wrong)


def audit_of_files(
    root: str | Path, job_id: str, noise_rate: float | None, models: Sequence[str], score: str | None = None
) -> JobAudit:
    """The audit of a job from its files: by ``score``, or by the better one that is there.

    ``models`` are those of its trials in the order of (round, k). Raises DataError where there is nothing to go by.
    """
    labels = load(root, labels_path(job_id), GivenLabels)
    fitted = load(root, cross_fitted_path(job_id), CrossFitted) if score != "free" else None
    if labels is None:
        raise DataError("no training of the job has kept its labels yet")
    if fitted is not None:
        return audit(labels, noise_rate, fitted=fitted)
    if score == "cross_fitted":
        raise DataError(
            "the job has no cross-fitted audit: it is made where the noise is estimated, before the first round, and "
            "report.tau was given instead"
        )
    trainings = [margins for path in models if (margins := load_margins(root, path)) is not None]
    if not trainings:
        raise DataError("no training of the job says anything of its labels: none has ended, or none was a whole one")
    return audit(labels, noise_rate, trainings)


def audit_of_folder(folder: str | Path, score: str | None = None) -> JobAudit:
    """The audit of a job that ran in one process, from the folder it wrote, ``<output>/search``, or from the output
    that holds only this one. Raises DataError."""
    file = _history_in(Path(folder).resolve())
    folder = file.parent
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read, which s2e search writes: {error}") from error
    results = [result for record in content["rounds"] for result in record["results"]]
    models = [result["model"] for result in results if result["model"]]
    noise_rate = noise_rate_of(read_job(content["spec"], SPEC_VERSION))
    return audit_of_files(folder.parent, folder.name, noise_rate, models, score)


def _history_in(folder: Path) -> Path:
    """The file of rounds that the folder of a job has in its own name, or the one in a folder below."""
    own, below = folder / f"{folder.name}.json", [file for file in folder.glob("*/*.json") if _is_named(file)]
    return below[0] if len(below) == 1 and not own.is_file() else own


def _is_named(file: Path) -> bool:
    return file.stem == file.parent.name


def noise_rate_of(spec: JobSpec) -> float | None:
    """The share of its labels to call issues: estimated, or given as report.tau; None where neither is. Raises
    DataError for labels of which nothing is to be found out."""
    if spec.data.truth_is_known:
        raise DataError(f"data.labels is {spec.data.labels}: only labels that are given are audited")
    if spec.data.estimate is not None:
        return spec.data.estimate.noise_rate
    return spec.report.tau


def table_rows(job_audit: JobAudit, chosen: Sequence[int] | None = None) -> Iterator[list[Any]]:
    """Rows of :data:`COLUMNS` as plain values, None where there is none."""
    columns = [getattr(job_audit, name).tolist() for name in COLUMNS]
    for i in range(len(job_audit)) if chosen is None else chosen:
        yield [None if value != value else value for value in (column[i] for column in columns)]


def page_of(job_audit: JobAudit, chosen: Sequence[int], n: int) -> JobLabels:
    """The first n of the chosen rows, as an answer."""
    items = (
        JobLabel(
            id=str(key),
            is_label_issue=is_issue,
            label_quality=quality,
            given_label=str(given),
            predicted_label=str(predicted),
            probability_wrong=wrong,
            split=split,
        )
        for key, is_issue, quality, given, predicted, wrong, split in table_rows(job_audit, chosen[:n])
    )
    return JobLabels(
        items=tuple(items),
        next_cursor=None,
        score=job_audit.score,
        note=job_audit.note,
        n_rows=len(job_audit),
        n_issues=int(job_audit.is_label_issue.sum()),
        n_chosen=len(chosen),
        n_trainings=job_audit.n_trainings,
    )


def chosen_rows(
    job_audit: JobAudit,
    given: str | None = None,
    likely: str | None = None,
    issues: bool = False,
    split: str | None = None,
) -> NDArray[np.int64]:
    """Places of the rows with a given label, a likely one, an issue, or of one part; the worst first."""
    kept = np.ones(len(job_audit), dtype=bool)
    if given is not None:
        kept &= job_audit.given_label.astype(str) == given
    if likely is not None:
        kept &= job_audit.predicted_label.astype(str) == likely
    if issues:
        kept &= job_audit.is_label_issue
    if split is not None:
        kept &= job_audit.split == split
    return np.flatnonzero(kept)
