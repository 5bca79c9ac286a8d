"""The built-in methods keep the contract of s2e/testing, as one of another package would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from s2e.methods.declared.selection import CoTeaching, SelfTeaching
from s2e.parts import METHODS, method
from s2e.testing import MethodContract
from s2e.words import param


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


class TestMethodsThatUseWhatTheyDrop(MethodContract):
    """The same rules under settings that are off by default, as methods of their own."""

    method = ("self_consistent", "taught_by_the_other")

    @pytest.fixture(autouse=True)
    def variants(self) -> Iterator[None]:
        @method("self_consistent", rule="s2e.methods.dropped:selfteaching", scheduled=True)
        class SelfConsistent(SelfTeaching):
            """Self-teaching that holds dropped samples to their earlier predictions."""

            dropped: str = param("consistency", doc="of these tests")

        @method("taught_by_the_other", rule="s2e.methods.dropped:coteaching", scheduled=True)
        class TaughtByTheOther(CoTeaching):
            """Co-teaching with pseudo-labels, however unsure."""

            dropped: str = param("pseudo_labels", doc="of these tests")
            dropped_confidence: float = param(0.0, doc="of these tests")

        yield
        METHODS.discard("self_consistent")
        METHODS.discard("taught_by_the_other")
