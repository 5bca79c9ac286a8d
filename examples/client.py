"""Submit a job from Python, follow it, and take the recommended schedule away.

Start a service first (s2e serve), then: python examples/client.py
"""

import sys

from s2e.client import DEFAULT_URL, S2EClient

JOB = {
    "name": "from Python",
    "data": {"name": "digits", "noise": {"kind": "symmetric", "noise_rate": 0.5}},
    "train": {"n_epochs": 8},
    "search": {"n_rounds": 2, "n_trials": 3},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "tuned_trials": 2},
}

with S2EClient(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_URL) as client:
    job = client.submit(JOB)
    for event in client.events(job.id):
        if event.kind in ("job", "round"):
            print(event.kind, event.data)
    report = client.report(job.id)
    print(report.verdict)
    print("R(t):", [round(value, 3) for value in report.keep_rate])
