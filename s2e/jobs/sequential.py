"""The stopping rule of a comparison: its looks, the error each may make, and whether another look is worth its seeds.

Paired differences are looked at after n_1 < n_2 < ... < n_L seeds, and a look may end the comparison, so an interval at
95 % each time would miss too often. The looks share the error of 5 % in proportion to the seeds that each adds, and
each has a t interval at its share: whatever the correlation between them, all hold together with at least 95 %
(Bonferroni), and a schedule without any advantage is said to beat another in at most 2.5 % of comparisons. Later looks
get more because they see smaller differences: at 5, 10, 20 and 40 seeds, with 1.8 points between seeds, a true one of a
point is declared in 89 % of comparisons, with equal shares in 83 %.

An open difference gets more seeds only while they are likely enough to decide it: the mean of all n_L differences,
given those seen, is a Student t around their mean; its chance to lie outside the last look's interval around 0 must be
at least LEAST_CHANCE. Stopping for that reason declares nothing, so it costs no error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import fmean, stdev

from scipy.special import stdtr, stdtrit  # Student's t; scipy.stats takes a second to import

from s2e.words import ReportSpec

CONFIDENCE = 0.95
LEAST_CHANCE = 0.25
"""Chance of a decision below which no more seeds are spent. Without a difference that halves the seeds, from 39 to 21;
at the point above it costs 8 of the 89 %."""
POWER = 0.8
"""Of :func:`detectable`."""
MOST = {1: 2, 2: 8}
"""By the report's rules: most seeds of a schedule, in units of ``n_seeds``, where the job says none."""


def looks(report: ReportSpec) -> tuple[int, ...]:
    """Seeds of a schedule after which the comparison is looked at: n_seeds, doubled each time, at most max_seeds."""
    n, most = report.n_seeds, report.max_seeds or MOST[report.rules] * report.n_seeds
    seeds = []
    while n < most:
        seeds.append(n)
        n *= 2
    return (*seeds, most)


def for_all(report: ReportSpec) -> int:
    """Seeds up to which every open row gets more; beyond, those only that decide when the comparison ends."""
    return looks(report)[-1] if report.rules == 1 else min(2 * report.n_seeds, looks(report)[-1])


def most_trainings(report: ReportSpec) -> int:
    """Most trainings of a comparison: four rows, then the searched one, the tuned eq. (1) and the best rival."""
    return 4 * for_all(report) + 3 * (looks(report)[-1] - for_all(report))


def confidence_at(report: ReportSpec, n_seeds: int) -> float:
    """Confidence of an interval over ``n_seeds`` seeds: that of the look at which they are complete."""
    planned = looks(report)
    look = next(i for i, n in enumerate(planned) if n >= min(n_seeds, planned[-1]))
    if report.rules == 1:
        return 1 - (1 - CONFIDENCE) / len(planned)
    added = planned[look] - (planned[look - 1] if look else 0)
    return 1 - (1 - CONFIDENCE) * added / planned[-1]


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float | None, float | None]:
    """Mean and half-width of its Student-t interval; None where there are too few values."""
    if not values:
        return None, None
    if len(values) < 2:
        return values[0], None
    return fmean(values), _quantile(0.5 + confidence / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))


def is_open(values: Sequence[float], confidence: float) -> bool:
    """True if more seeds might decide the sign of these differences; never where both sides are the same training."""
    mean, half = interval(values, confidence)
    return mean is not None and (half is None or 0 < half >= abs(mean))


def worth_more(report: ReportSpec, values: Sequence[float], n_seeds: int) -> bool:
    """True if the differences after ``n_seeds`` seeds are open and later looks are likely enough to decide them."""
    planned = looks(report)
    if n_seeds >= planned[-1] or not is_open(values, confidence_at(report, n_seeds)):
        return False
    return report.rules == 1 or len(values) < 2 or chance(report, values) >= LEAST_CHANCE


def chance(report: ReportSpec, values: Sequence[float]) -> float:
    """Predictive chance that the last look will decide the sign, if the differences go on as they began."""
    n, last = len(values), looks(report)[-1]
    if n >= last:
        return float(not is_open(values, confidence_at(report, last)))
    edge = _quantile(0.5 + confidence_at(report, last) / 2, last - 1) / math.sqrt(last)
    mean, spread = fmean(values) / stdev(values), math.sqrt(1 / n - 1 / last)
    return float(sum(stdtr(n - 1, (sign * mean - edge) / spread) for sign in (1, -1)))


def detectable(values: Sequence[float], confidence: float) -> float | None:
    """The true difference that as many seeds, as spread as these, would declare with probability POWER."""
    if len(values) < 2:
        return None
    quantiles = _quantile(0.5 + confidence / 2, len(values) - 1) + _quantile(POWER, len(values) - 1)
    return quantiles * stdev(values) / math.sqrt(len(values))


@lru_cache(maxsize=4_096)
def _quantile(probability: float, freedom: int) -> float:
    return float(stdtrit(freedom, probability))
