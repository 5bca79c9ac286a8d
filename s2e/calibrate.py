"""The plan by which this machine trains a job fastest: measured for a moment, kept, and never changed unasked: it is
proposed, or taken where a job says ``plan.auto``.

Populations of several sizes train a few steps in each arithmetic that the processor has. A round of n trials then takes

    waves * epoch_s,    waves = ceil(ceil(n / K) / W)

with K trials in a population and W processes. W is the cores there are, as far as memory lets them all train at once.
"""

from __future__ import annotations

import json
import os
import platform
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import s2e
from s2e.data.own.cache import cache_root, digest_of, place
from s2e.door.plan import settled
from s2e.extras import needs
from s2e.jobs import loop
from s2e.jobs.loop import n_rounds, n_trials
from s2e.machine import usable_bytes, usable_cores
from s2e.parts import KINDS
from s2e.prepare import provisional
from s2e.words import JobSpec, PlanChoice, PlanSpec, Round, TrialError, UnreadableError, read, replace, to_json

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Populations that are tried, as far as a round has trials for them."""
WORTH = 0.95
"""Another plan than the job's own, or coarser rounding, has to take less than this share of the time."""
MEMORY_SHARE = 0.8
"""Of the memory there is, for all processes together."""
Progress = Callable[[str], None]
"""Hears about the next measurement."""


@dataclass(frozen=True)
class Case:
    """One population of ``population`` trials, as it was measured."""

    population: int
    dtype: str
    step: str
    epoch_s: float
    memory_bytes: int
    """Of the process that trains it, at most."""

    @property
    def trial_epoch_s(self) -> float:
        return self.epoch_s / self.population


@dataclass(frozen=True)
class Calibration:
    """The measured cases, the plan that follows from them, and each case left out with its reason."""

    cases: tuple[Case, ...]
    n_workers: int
    plan: PlanSpec
    job_s: float
    """Expected seconds of the job's trainings under ``plan``, on all processes."""
    file_job_s: float | None
    """The same under the plan of the job itself; None where it does not train here."""
    fallbacks: tuple[str, ...] = ()

    @property
    def gain(self) -> float | None:
        """Speed-up over the job's own plan; None where that plan does not train here."""
        return self.choice.gain

    @property
    def choice(self) -> PlanChoice:
        """The part that a job keeps."""
        return PlanChoice(socket.gethostname(), self.n_workers, self.job_s, self.file_job_s, self.fallbacks)


def needs_plan(spec: JobSpec) -> bool:
    """True if the job's plan is left to the machine that trains it, and none was asked yet."""
    return spec.plan.auto and spec.plan.chosen is None


def chosen_plan(
    spec: JobSpec, data_root: str | None = None, *, n_machines: int = 1, progress: Progress | None = None
) -> PlanSpec:
    """The plan of a job that leaves it to this machine, with how it came to be; see :func:`calibrate`."""
    measured = calibrate(spec, data_root, n_machines=n_machines, progress=progress)
    return replace(measured.plan, auto=True, chosen=measured.choice)


def calibrate(
    spec: JobSpec,
    data_root: str | None = None,
    *,
    fresh: bool = False,
    n_machines: int = 1,
    progress: Progress | None = None,
) -> Calibration:
    """The fastest plan for ``spec`` on this machine, or on ``n_machines`` like it. Measurements are kept for the next
    time; ``fresh``: not used.

    Only how trials are grouped and in which arithmetic search trials train is chosen: threads stay as they are, because
    processes use cores better than threads do (one thread each). Raises SpecError or DataError for a job that cannot be
    trained here at all, TrialError where not even one trial fits into memory.
    """
    fallbacks, spec = list[str](), replace(spec, plan=replace(spec.plan, auto=False, chosen=None))
    cases = tuple(_cases(spec, data_root, fallbacks, fresh, progress or _unseen))
    if not cases:
        raise TrialError("; ".join(fallbacks))
    n_workers = n_machines * _processes(spec.plan, cases, fallbacks)
    fallbacks += _uncompiled(spec.plan)
    fallbacks += _streamed(spec, data_root)
    best = min(cases, key=lambda case: _preference(spec, case, cases, n_workers))
    plan = replace(spec.plan, population=best.population, dtype=best.dtype, step=best.step)
    own = [c for c in cases if (c.population, c.dtype) == (_own_size(spec), spec.plan.dtype)]
    own_s = _job_s(spec, own[0], cases, n_workers) if own else None
    job_s = _job_s(spec, best, cases, n_workers)
    if own_s is not None and job_s > WORTH * own_s:
        plan, job_s = spec.plan, own_s
    return Calibration(cases, n_workers, plan, job_s, own_s, tuple(fallbacks))


def _uncompiled(plan: PlanSpec) -> list[str]:
    """Why torch's operations train where the compiled step could."""
    from s2e.networks.library import instruction_set

    if plan.device != "cpu":
        return []
    if plan.threads > 1:
        return [f"compiled step: it has one thread, and the plan {plan.threads}"]
    return [] if instruction_set(half=False) else ["compiled step: its library is not here, or not for this processor"]


def _streamed(spec: JobSpec, data_root: str | None) -> list[str]:
    """Why samples stay in their file while the plan trains, where nobody asked for it."""
    with needs("train"):
        from s2e.data.datasets import load_split
        from s2e.train.resident import bytes_of, is_streamed

    data = load_split(spec.data, data_root)
    if spec.plan.samples != "auto" or not is_streamed(spec.plan, data):
        return []
    return [f"samples in memory: {bytes_of(data) / 2**30:.1f} GiB are too many here; they are streamed from their file"]


def _unseen(_: str) -> None:
    """Progress that nobody watches."""


def _cases(
    spec: JobSpec, data_root: str | None, fallbacks: list[str], fresh: bool, progress: Progress
) -> Iterator[Case]:
    """Every size in every arithmetic, from the cache where it knows this job's shape on this machine."""
    kept = _Kept(spec)
    known = {} if fresh else kept.load()
    n = len(_first_round(spec))
    for dtype in _arithmetics(spec.plan, fallbacks):
        for size in sorted({size for size in (*SIZES, _own_size(spec)) if size <= n}):
            key = f"{dtype}-{size}"
            if key not in known:
                progress(f"{size} trials in {dtype}")
                try:
                    known[key] = _measured(spec, size, dtype, data_root)
                except (MemoryError, RuntimeError) as error:
                    if not _is_memory(error):
                        raise
                    fallbacks.append(f"{size} trials in {dtype}: not enough memory")
                    break
                kept.save(known)
            yield known[key]


def _is_memory(error: Exception) -> bool:
    """True for torch's words too: its class for a device's memory, its sentence for the host's."""
    return isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "t allocate memory" in str(error)


def _own_size(spec: JobSpec) -> int:
    return min(spec.plan.population, len(_first_round(spec)))


def _first_round(spec: JobSpec) -> Sequence[Any]:
    return _round(spec).trials


def _round(spec: JobSpec) -> Round:
    first = loop.next_round(provisional(spec), ())
    assert first is not None
    return first


def _arithmetics(plan: PlanSpec, fallbacks: list[str]) -> Sequence[str]:
    """float32 always, because re-training uses it; float64 is somebody's wish, and stays."""
    if plan.dtype == "float64":
        return ("float64",)
    with needs("train"):
        from s2e.train.runtime import has_fast_bfloat16
    if plan.device == "cuda" or has_fast_bfloat16():
        return ("float32", "bfloat16")
    fallbacks.append("bfloat16: this processor has none (AMX or AVX512-BF16)")
    return ("float32",)


def _measured(spec: JobSpec, size: int, dtype: str, data_root: str | None) -> Case:
    with needs("train"):
        from s2e.train.check import TIMED_STEPS, check_population

    plan = settled(replace(spec.plan, population=size, dtype=dtype, step="auto"))
    planned = provisional(replace(spec, plan=plan))
    first = loop.populations(planned, _round(planned))[0]
    measured = check_population(first, data_root, n_timed=TIMED_STEPS)
    return Case(size, dtype, plan.step, measured.epoch_s, measured.memory_bytes)


def _processes(plan: PlanSpec, cases: Sequence[Case], fallbacks: list[str]) -> int:
    """Processes that train at once: a core for each thread, and the memory of the largest population for each."""
    if plan.device == "cuda":
        return 1
    n_cores = max(1, usable_cores() // plan.threads)
    if n_cores == 1:
        fallbacks.append(f"processes: {usable_cores()} cores hold one of {plan.threads} threads")
    memory = usable_bytes()
    if memory is None:
        return n_cores
    fits = int(MEMORY_SHARE * memory / max(case.memory_bytes for case in cases))
    if fits < n_cores:
        fallbacks.append(f"{max(1, fits)} of {n_cores} processes: {memory / 2**30:.1f} GiB of memory hold no more")
    return max(1, min(n_cores, fits))


def _job_s(spec: JobSpec, case: Case, cases: Sequence[Case], n_workers: int) -> float:
    """Seconds of all trainings: those of the search as ``case``, re-training in float32 (float64 if asked for)."""
    exact = next((c for c in cases if c.population == case.population and c.dtype in ("float32", "float64")), case)
    n = len(_first_round(spec))
    n_search_rounds = KINDS[spec.kind].n_search_rounds(spec)
    epochs_s = n_search_rounds * _waves(n, case.population, n_workers) * case.epoch_s
    n_rounds_left = max(1, n_rounds(spec) - n_search_rounds)
    each = ceil(max(0, n_trials(spec) - n_search_rounds * n) / n_rounds_left)
    epochs_s += n_rounds_left * _waves(each, exact.population, n_workers) * exact.epoch_s
    return epochs_s * spec.train.n_epochs


def _waves(n: int, population: int, n_workers: int) -> int:
    return ceil(ceil(n / population) / n_workers)


def _preference(spec: JobSpec, case: Case, cases: Sequence[Case], n_workers: int) -> tuple[float, bool, int]:
    """Time first; bfloat16 has to be worth its rounding, and of two alike the smaller population is taken."""
    seconds = _job_s(spec, case, cases, n_workers)
    return (seconds if case.dtype != "bfloat16" else seconds / WORTH, case.dtype == "bfloat16", case.population)


@dataclass
class _Kept:
    """The measurements of a shape of job on this machine, in the cache."""

    spec: JobSpec
    name: str = field(init=False)

    def __post_init__(self) -> None:
        with needs("train"):
            import torch
        from s2e.networks.library import instruction_set

        processor = (platform.machine(), platform.processor(), os.cpu_count(), instruction_set(half=True))
        plan = replace(self.spec.plan, population=1, dtype="float32", step="auto")
        job = json.dumps(to_json([self.spec.data, self.spec.train, plan]), sort_keys=True)
        self.name = f"plan-{digest_of([s2e.__version__, torch.__version__, *processor, job])}.json"

    def load(self) -> dict[str, Case]:
        try:
            told: Mapping[str, Any] = json.loads((cache_root() / self.name).read_text(encoding="utf-8"))
            return {key: read(Case, value) for key, value in told.items()}
        except (OSError, ValueError, AttributeError, UnreadableError):  # none yet, or of somebody else
            return {}

    def save(self, cases: Mapping[str, Case]) -> None:
        temporary = place(self.name)
        if temporary is not None:
            temporary.write_text(json.dumps({key: to_json(case) for key, case in cases.items()}))
            temporary.replace(temporary.with_name(self.name))


def toml_of(plan: PlanSpec) -> str:
    """The lines of a job file that ask for this plan."""
    lines = [f"population = {plan.population}", f'dtype = "{plan.dtype}"', f"threads = {plan.threads}"]
    if plan.device != "cpu":
        lines.append(f'device = "{plan.device}"')
    if plan.samples != "auto":
        lines.append(f'samples = "{plan.samples}"')
    return "\n".join(["[plan]", *lines, f'step = "{plan.step}"'])
