"""The worst labels of a job put to the test: the same training on them as given, dropped, relabelled and softened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s2e.parts import KINDS

ENTRIES = {"as given": "none", "dropped": "drop", "relabelled": "relabel", "softened": "soften"}
"""Label of an entry -> ``train.revise``; the first is the baseline."""


def revised_job(spec: Mapping[str, Any], job_id: str, *, n: int | None = None, n_seeds: int = 5) -> dict[str, Any]:
    """A comparison, as plain JSON, of the ways to treat the ``n`` worst labels of a finished job (null: those that
    its audit takes to be wrong). ``spec`` is the job's own; its kind says which of its trainings is put to the test.

    Raises SpecError for a kind that another release has.
    """
    data = {name: value for name, value in spec["data"].items() if name not in ("estimate", "audit")}
    estimate, report = spec["data"].get("estimate"), spec["report"]
    trained = KINDS.find(spec.get("kind", "search"), "kind").entry_of(spec, job_id)
    settings = trained.pop("train", {})
    return {
        "name": f"the worst labels of {spec.get('name') or job_id}"[:120],
        "kind": "compare",
        "seed": spec["seed"],
        "data": {**data, "audit": {"job": job_id, "n": n}},
        "train": spec["train"],
        "plan": spec["plan"],
        "search": {"tail_epochs": spec["search"]["tail_epochs"]},
        "report": {
            "tau": report["tau"] if estimate is None else estimate["noise_rate"],
            "ramp": report["ramp"],
            "ramp_epochs": report["ramp_epochs"],
        },
        "compare": {
            "n_seeds": n_seeds,
            "entries": [
                {**trained, "label": label, "train": settings if revise == "none" else {**settings, "revise": revise}}
                for label, revise in ENTRIES.items()
            ],
        },
    }
