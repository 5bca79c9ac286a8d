"""Methods for training rows whose labels are known to be right (``data.trusted``), beside others that may be wrong."""

from __future__ import annotations

from s2e.methods.declared.correction import Forward
from s2e.methods.declared.selection import CoTeaching
from s2e.parts import MethodPart, method
from s2e.words import JobSpec, Problem


@method("anchored", rule="s2e.methods.trusted:Anchored", scheduled=True)
class Anchored(CoTeaching):
    """Co-teaching that always keeps trusted rows, beside what R(t) keeps of the others."""

    def check(self, job: JobSpec) -> list[Problem]:
        """No row that is trusted."""
        return [*super().check(job), *_untrusted(job, self.name)]


@method("gold", rule="s2e.methods.trusted:Gold")
class Gold(Forward):
    """Forward correction, in which trusted rows count with their own label (gold loss correction, Hendrycks et al.
    2018)."""

    def check(self, job: JobSpec) -> list[Problem]:
        """No row that is trusted, and what forward correction refuses."""
        return [*super().check(job), *_untrusted(job, self.name)]


@method("trusted_only", rule="s2e.methods.trusted:TrustedOnly")
class TrustedOnly(MethodPart):
    """Cross entropy on the trusted rows alone: what every other method has to be better than."""

    def check(self, job: JobSpec) -> list[Problem]:
        """No row that is trusted."""
        return [*super().check(job), *_untrusted(job, self.name)]


def _untrusted(job: JobSpec, name: str) -> list[Problem]:
    if job.data.trusted.is_declared:
        return []
    return [Problem("data.trusted", "nothing", f"rows whose labels are known to be right, for method {name}")]
