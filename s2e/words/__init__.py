"""The vocabulary: what crosses a process, a table or the network, as frozen dataclasses and plain JSON.

    JobSpec -> SearchState -> Point -> keep_rate -> TrialSpec -> EpochMetrics -> TrialResult -> Observation -> Report

``to_json`` and ``parse`` of :mod:`s2e.words.fields` turn each of them into plain JSON and back. Nothing here imports
anything but the standard library and its neighbours.
"""

from dataclasses import replace

from s2e.words.compare import MOST_ENTRIES, MOST_LABEL, CompareSpec, EntrySpec, ScheduleSpec
from s2e.words.data import MAX_CLASSES, CsvSpec, DataSpec, NoiseSpec
from s2e.words.earlier import MOST_TRIALS, EarlierTrials
from s2e.words.errors import DataError, Problem, S2EError, SearchError, SpecError, TrialError
from s2e.words.fidelity import FULL, Fidelity, of_highest_fidelity
from s2e.words.fields import field_lines, json_schema, param, parse, to_json
from s2e.words.job import SPEC_VERSION, JobSpec, PlanSpec
from s2e.words.results import EpochMetrics, FinalAccuracies, FinalAccuracy, Report, ReportRow, TrialResult
from s2e.words.search import ReportSpec, SearchSpec
from s2e.words.seeds import derive_seed
from s2e.words.train import TrainSpec
from s2e.words.trial import Observation, Point, Population, Round, RoundRecord, SearchState, TrialSpec

__all__ = [
    "FULL", "MAX_CLASSES", "MOST_ENTRIES", "MOST_LABEL", "MOST_TRIALS", "SPEC_VERSION",
    "CompareSpec", "CsvSpec", "DataError", "DataSpec", "EarlierTrials", "EntrySpec", "EpochMetrics", "Fidelity",
    "FinalAccuracies", "FinalAccuracy", "JobSpec", "NoiseSpec", "Observation", "PlanSpec", "Point", "Population",
    "Problem", "Report", "ReportRow", "ReportSpec", "Round", "RoundRecord", "S2EError", "ScheduleSpec", "SearchError",
    "SearchSpec", "SearchState", "SpecError", "TrainSpec", "TrialError", "TrialResult", "TrialSpec", "derive_seed",
    "field_lines", "json_schema", "of_highest_fidelity", "param", "parse", "replace", "to_json",
]  # fmt: skip
