"""Other jobs, for one that is being submitted: the schedule it compares, the trials it starts from."""

from __future__ import annotations

import numpy as np
from sqlalchemy.orm import Session

from s2e.labels.kept import SPLITS
from s2e.parts import Recommended, Worst
from s2e.words import MOST_TRIALS, EarlierTrials
from service.api.labels import audit_of
from service.errors import NotFound
from service.store import queries, rounds


class StoredJobs:
    """The jobs in the database, as :class:`s2e.parts.Lookup` asks for them."""

    def __init__(self, session: Session, artifact_root: str) -> None:
        self._session, self._artifact_root = session, artifact_root

    def report_of(self, job_id: str) -> Recommended | None:
        """The recommendation of a completed search."""
        stored = queries.report(self._session, job_id)
        if stored is None or stored.report.get("recommended") is None:
            return None
        method = queries.job(self._session, job_id).spec["train"]["method"]
        return Recommended(method, tuple(stored.report["keep_rate"]), stored.report.get("train", {}))

    def labels_of(self, job_id: str, n: int | None) -> Worst | None:
        """The worst labels by a job's audit."""
        try:
            job = queries.job(self._session, job_id)
            audit = audit_of(self._session, self._artifact_root, job, None)
        except NotFound:
            return None
        trains = audit.split == SPLITS[0]  # other rows train nothing that could be revised
        n = int(audit.is_label_issue[trains].sum()) if n is None else n
        rows, labels = audit.row[trains][:n].tolist(), audit.other[trains][:n].tolist()
        return Worst(rounds.load_spec(self._session, job_id).data, tuple(rows), tuple(labels))

    def trials_of(self, job_id: str) -> EarlierTrials | None:
        """The succeeded full trainings of a job, at most MOST_TRIALS, spread evenly over it."""
        try:
            search = queries.job(self._session, job_id).spec["search"]
        except NotFound:
            return None
        rows = queries.searched_points(self._session, job_id)
        places = np.unique(np.rint(np.linspace(0, len(rows) - 1, MOST_TRIALS)).astype(int))
        kept = places.tolist() if rows else []
        return EarlierTrials(
            job_id,
            search["space"],
            search["parameters"],
            tuple(rows[i][0] for i in kept),
            tuple(rows[i][1] for i in kept),
            space_params=search.get("space_params", {}),
        )
