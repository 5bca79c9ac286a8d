"""What a search rule needs of a job, refused at the door."""

from __future__ import annotations

from s2e import catalog
from s2e.errors import Problem


def searcher_problems(searcher: str, n_trials: int, trials: str) -> list[Problem]:
    """Too few trials a round for a rule that compares them, or parts of trainings asked of somebody else's loop."""
    problems, entry = [], catalog.SEARCHERS[searcher]
    if n_trials < entry.min_trials:
        allowed = f">= {entry.min_trials} for searcher {searcher}, which compares the trials of one round"
        problems.append(Problem("search.n_trials", n_trials, allowed))
    if entry.short_trials and trials == "external":
        whole = ", ".join(name for name, other in catalog.SEARCHERS.items() if not other.short_trials)
        allowed = f"with external trials, which are full trainings, one of {whole}"
        problems.append(Problem("search.searcher", searcher, allowed))
    return problems
