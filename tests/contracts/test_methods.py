"""The built-in methods keep the contract of s2e/testing, as one of another package would."""

from __future__ import annotations

from s2e.parts import METHODS
from s2e.testing import MethodContract


class TestMethods(MethodContract):
    method = tuple(name for name, part in METHODS.items() if not part.fitted)
    early = {  # noqa: RUF012 - of the class
        "backward": {"transition": "estimated", "estimation_epochs": 1},
        "dividemix": {"warm_up_epochs": 1},
        "forward": {"transition": "confident", "estimation_epochs": 1},
        "gce_truncated": {"first_pruning_epoch": 1},
        "joint_optim": {"label_start": 1, "retrain_start": 2},
        "m_dyr_h": {"guided_start": 1},
        "md_dyr_sh": {"guided_start": 0, "bootstrap_start": 1},
        "pencil": {"label_start": 1, "label_end": 2},
    }
