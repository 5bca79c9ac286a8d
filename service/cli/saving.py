"""A job's results as files: everything that its report names, fetched from the service."""

from __future__ import annotations

import json
from pathlib import Path

from s2e.client.http import S2EClient
from s2e.words import to_json
from service.cli.reports import models_of


def save_report(client: S2EClient, job_id: str, folder: Path) -> list[tuple[str, Path]]:
    """Write the report, the schedule and every model that the report names; what each is, and its path."""
    report = client.any_report(job_id)
    folder.mkdir(parents=True, exist_ok=True)
    saved = [("the report", folder / "report.json")]
    saved[0][1].write_text(json.dumps(to_json(report), indent=1), encoding="utf-8")
    if client.job(job_id).recommends:
        schedule, table = folder / "schedule.json", folder / "schedule.csv"
        schedule.write_text(json.dumps(to_json(client.schedule(job_id)), indent=1), encoding="utf-8")
        client.save_table(f"/jobs/{job_id}/schedule", table)
        saved += [("the recommended schedule", schedule), ("the same, one row for each epoch", table)]
    for name, path in models_of(report):
        if path in report.models:
            saved.append((name, client.save_model(report.models[path], folder)))
    return saved
