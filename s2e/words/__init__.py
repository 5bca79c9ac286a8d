"""The vocabulary: what crosses a process, a table or the network, as frozen dataclasses and plain JSON.

    JobSpec -> SearchState -> Point -> keep_rate -> TrialSpec -> EpochMetrics -> TrialResult -> Observation -> Report

``to_json`` turns each of them into plain JSON. ``parse`` checks JSON of a stranger, field by field; ``read`` takes what
was checked once already. Nothing here imports anything but the standard library and its neighbours.
"""

from dataclasses import replace

from s2e.words.compare import MOST_ENTRIES, MOST_LABEL, CompareSpec, EntrySpec, ScheduleSpec
from s2e.words.data import (
    MAX_CLASSES,
    AuditSpec,
    CsvSpec,
    DataSpec,
    EstimatedNoise,
    NoiseSpec,
    OpenSizes,
    TrustedRows,
    TrustedSpec,
)
from s2e.words.earlier import MOST_TRIALS, EarlierTrials
from s2e.words.errors import (
    DataError,
    MissingExtraError,
    Problem,
    S2EError,
    SearchError,
    SpecError,
    TrialError,
    UnreadableError,
)
from s2e.words.estimate import Estimate, Sizes
from s2e.words.fidelity import FULL, Fidelity, of_highest_fidelity
from s2e.words.fields import Condition, conditions, field_lines, idle, json_schema, param, parse, to_json
from s2e.words.job import SPEC_VERSION, BudgetSpec, JobSpec, PlanChoice, PlanSpec
from s2e.words.numbers import Number, number, numbers_of, value_at
from s2e.words.reading import read
from s2e.words.results import (
    Compared,
    CompareReport,
    CompareRow,
    EpochMetrics,
    EpochNumbers,
    Evidence,
    FinalAccuracies,
    FinalAccuracy,
    Report,
    ReportRow,
    TrialNumbers,
    TrialResult,
)
from s2e.words.search import ReportSpec, SearchSpec
from s2e.words.seeds import derive_seed
from s2e.words.train import TrainSpec
from s2e.words.trial import Observation, PlanWanted, Point, Population, Round, RoundRecord, SearchState, TrialSpec

__all__ = [
    "FULL", "MAX_CLASSES", "MOST_ENTRIES", "MOST_LABEL", "MOST_TRIALS", "SPEC_VERSION",
    "AuditSpec", "BudgetSpec",
    "CompareReport", "CompareRow", "CompareSpec", "Compared", "Condition", "CsvSpec", "DataError", "DataSpec",
    "EarlierTrials", "EntrySpec", "EpochMetrics", "EpochNumbers", "Estimate", "EstimatedNoise", "Evidence", "Fidelity",
    "FinalAccuracies", "FinalAccuracy", "JobSpec",
    "MissingExtraError", "NoiseSpec", "Number", "Observation", "OpenSizes", "PlanChoice", "PlanSpec",
    "PlanWanted", "Point", "Population", "Problem", "Report",
    "ReportRow", "ReportSpec", "Round", "RoundRecord", "S2EError", "ScheduleSpec", "SearchError", "SearchSpec",
    "SearchState", "Sizes", "SpecError", "TrainSpec", "TrialError", "TrialNumbers", "TrialResult", "TrialSpec",
    "TrustedRows", "TrustedSpec", "UnreadableError", "conditions", "derive_seed", "field_lines", "idle", "json_schema",
    "number", "numbers_of", "of_highest_fidelity", "param", "parse", "read", "replace", "to_json", "value_at",
]  # fmt: skip
