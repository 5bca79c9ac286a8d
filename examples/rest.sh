#!/bin/sh
# Submit a job with curl, follow its events to the end, and read the report.
# Start a service first (s2e serve), then: sh examples/rest.sh
set -eu
URL="${1:-http://127.0.0.1:8642}/api/v1"

ID=$(curl -fsS "$URL/jobs" -H 'Content-Type: application/json' -d '{
  "name": "from curl",
  "train": {"n_epochs": 8},
  "search": {"n_rounds": 2, "n_trials": 3},
  "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "tuned_trials": 2}
}' | sed 's/^{"id":"\([^"]*\)".*/\1/')

curl -fsSN "$URL/jobs/$ID/events" | grep -A1 -E '^event: (job|round)'
curl -fsS "$URL/jobs/$ID/report"
echo
