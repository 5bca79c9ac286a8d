"""Declarations of the spaces of schedules."""

from __future__ import annotations

from s2e.parts import SpacePart, space


@space("s2e", at="s2e.search.space:S2E")
class S2E(SpacePart):
    """S2E Table 1: four bases mixed by a Dirichlet, sixteen Beta parameters."""


@space("s2e_extended", at="s2e.search.spaces:S2E_EXTENDED")
class S2EExtended(SpacePart):
    """A mix of S2E Table 1 and eq. (1), so that a plateau can come before the drop."""


@space("s2e_official12", at="s2e.search.spaces:S2E_OFFICIAL12")
class S2EOfficial12(SpacePart):
    """The twelve numbers of the official S2E program, clipped to [0, 1]."""


@space("coteaching", at="s2e.search.spaces:COTEACHING")
class CoTeaching(SpacePart):
    """Eq. (1): tau and t_k uniform, the exponent c one of 0.5, 1 and 2."""


@space("single", at="s2e.search.spaces:SINGLE")
class Single(SpacePart):
    """One basis of S2E Table 1, which of the four is searched too."""


@space("single1", at="s2e.search.spaces:SINGLE1")
class Single1(SpacePart):
    """The first basis of S2E Table 1 alone."""


@space("single2", at="s2e.search.spaces:SINGLE2")
class Single2(SpacePart):
    """The second basis of S2E Table 1 alone."""


@space("single3", at="s2e.search.spaces:SINGLE3")
class Single3(SpacePart):
    """The third basis of S2E Table 1 alone."""


@space("single4", at="s2e.search.spaces:SINGLE4")
class Single4(SpacePart):
    """The fourth basis of S2E Table 1 alone."""


@space("fixed", at="s2e.search.spaces:FIXED")
class Fixed(SpacePart):
    """The default Co-teaching schedule for all trials; only search.parameters are searched."""


@space("rbf", at="s2e.search.spaces:RBF")
class Rbf(SpacePart):
    """Four Gaussian units of t/T under a sigmoid; R(0) = 1 is not promised."""


@space("mlp", at="s2e.search.spaces:MLP")
class Mlp(SpacePart):
    """Four ReLU units of t/T under a sigmoid; R(0) = 1 is not promised."""
