"""A training loop that knows nothing of S2E but four lines: it trains scikit-learn's digits with 40 % wrong labels.

Start a service first (s2e serve), then: python examples/own_loop.py [URL]. Others share the work of a job with
python examples/own_loop.py URL JOB_ID.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from s2e.client import DEFAULT_URL, S2EClient, own_trials

NOISE_RATE, BATCH = 0.4, 64
JOB = {
    "name": "my own loop",
    "trials": "external",
    "data": {"noise": {"noise_rate": NOISE_RATE}},
    "train": {"n_epochs": 15},
    "search": {"n_rounds": 3, "n_trials": 4},
    "report": {"n_seeds": 3, "max_seeds": 3, "n_candidates": 1, "taus": [0.2, 0.4, 0.6]},
}
images, labels = load_digits(return_X_y=True)
images = images / 16
train, validation, test = np.split(np.random.default_rng(0).permutation(len(labels)), [1200, 1500])


def noisy_labels(seed: int) -> np.ndarray:
    """Symmetric noise on the training labels."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(train)) < NOISE_RATE
    return np.where(wrong, (labels[train] + rng.integers(1, 10, len(train))) % 10, labels[train])


def train_epoch(model: SGDClassifier, y: np.ndarray, keep_rate: float, rng: np.random.Generator) -> None:
    """Each mini-batch is fitted on the share ``keep_rate`` of smallest loss."""
    for batch in np.array_split(rng.permutation(len(train)), len(train) // BATCH):
        x, given = images[train][batch], y[batch]
        if hasattr(model, "coef_"):
            loss = -model.predict_log_proba(x)[np.arange(len(batch)), given]
            kept = np.argsort(loss)[: max(1, int(keep_rate * len(batch)))]
            x, given = x[kept], given[kept]
        model.partial_fit(x, given, classes=np.arange(10))


url, job_id = (*sys.argv[1:], *[DEFAULT_URL, None][len(sys.argv) - 1 :])
with S2EClient(url) as client:
    job_id = job_id or client.submit(JOB).id
    print("job", job_id, flush=True)
    for trial in own_trials(client, job_id):
        with trial:  # an exception below is the trial's failure
            model = SGDClassifier(loss="log_loss", alpha=1e-4, random_state=trial.init_seed % 2**32)
            y, rng = noisy_labels(trial.noise_seed), np.random.default_rng(trial.order_seed)
            for _epoch, keep_rate in trial.schedule:
                train_epoch(model, y, keep_rate, rng)
                trial.report(
                    validation_accuracy=model.score(images[validation], labels[validation]),
                    test_accuracy=model.score(images[test], labels[test]),
                )
            accuracy = model.score(images[test], labels[test])
            print(f"{trial.label:>10}  R(T) = {trial.keep_rate[-1]:.2f}  test {accuracy:.3f}")
    print(client.report(job_id).verdict)
