"""Compare methods from Python: the same data, noise draws and seeds for each; read the paired differences.

Start a service first (s2e serve), then: python examples/compare.py
"""

import sys

from s2e.client import DEFAULT_URL, S2EClient

JOB = {
    "name": "methods, from Python",
    "kind": "compare",
    "data": {"name": "digits", "noise": {"kind": "symmetric", "noise_rate": 0.5}},
    "train": {"n_epochs": 12},
    "compare": {
        "n_seeds": 3,
        "entries": [
            {"label": "Standard", "method": "standard"},
            {"label": "Co-teaching", "method": "coteaching"},
            {"label": "Co-teaching, tau 0.3", "method": "coteaching", "schedule": {"kind": "tau", "tau": 0.3}},
        ],
    },
}

with S2EClient(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_URL) as client:
    job = client.wait(client.submit(JOB).id)
    report = client.comparison(job.id)
    for row in report.rows:
        print(f"{row.label:<22} last ten {row.last_ten.mean:.3f}, minus baseline {row.last_ten.difference or 0:+.3f}")
    print(report.verdict)
