"""Two-component mixtures of per-sample losses, stacked networks at once, float64: which samples look mislabelled.

Legend: L stacked loss vectors (one for each trial and network), S samples, 2 components, R cells of a lookup table.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

GAUSSIAN_ITERATIONS, GAUSSIAN_TOLERANCE, GAUSSIAN_FLOOR = 10, 1e-2, 5e-4
"""DivideMix's EM: most rounds, the gain in mean log-likelihood below which it stops, what is added to a variance."""
LLOYD_ITERATIONS = 20
BETA_ITERATIONS = 10
BETA_EDGE = 1e-3
"""Losses outside the fitted range count as this far from its ends (M-correction's program)."""
LOOKUP_CELLS = 100
_TINY = 1e-12


def low_loss_posterior(loss_LS: torch.Tensor) -> torch.Tensor:
    """P(component of the lower mean | loss) -> [L, S], of two Gaussians fitted by EM (DivideMix, section 3.1).

    The losses are scaled to [0, 1] by :func:`unit_range`; EM starts from the two clusters of least squared distance.
    """
    loss_LS = loss_LS.double()
    share_LS2 = _two_clusters(loss_LS)
    weight_L2, mean_L2, variance_L2 = _gaussian_moments(loss_LS, share_LS2)
    running_L = torch.ones(len(loss_LS), dtype=torch.bool, device=loss_LS.device)
    bound_L = torch.full((len(loss_LS),), -torch.inf, dtype=torch.float64, device=loss_LS.device)
    for _ in range(GAUSSIAN_ITERATIONS):
        log_LS2 = _gaussian_log_joint(loss_LS, weight_L2, mean_L2, variance_L2)
        new = _gaussian_moments(loss_LS, log_LS2.softmax(-1))
        weight_L2, mean_L2, variance_L2 = (
            torch.where(running_L[:, None], after, before)
            for after, before in zip(new, (weight_L2, mean_L2, variance_L2), strict=True)
        )
        new_bound_L = log_LS2.logsumexp(-1).mean(-1)
        running_L = running_L & ((new_bound_L - bound_L).abs() >= GAUSSIAN_TOLERANCE)
        bound_L = new_bound_L
    posterior_LS2 = _gaussian_log_joint(loss_LS, weight_L2, mean_L2, variance_L2).softmax(-1)
    low_L = mean_L2.argmin(-1)
    return posterior_LS2.gather(-1, low_L[:, None, None].expand(-1, loss_LS.shape[1], 1))[..., 0]


def unit_range(value_LS: torch.Tensor) -> torch.Tensor:
    """Each vector shifted and scaled to [0, 1]; zeros where all its values are equal."""
    low_L1, high_L1 = value_LS.amin(-1, keepdim=True), value_LS.amax(-1, keepdim=True)
    return (value_LS - low_L1) / (high_L1 - low_L1).clamp(min=_TINY)


def _two_clusters(value_LS: torch.Tensor) -> torch.Tensor:
    """2-means from the extremes, as one-hot shares [L, S, 2]."""
    centre_L2 = torch.stack([value_LS.amin(-1), value_LS.amax(-1)], dim=-1)
    for _ in range(LLOYD_ITERATIONS):
        upper_LS = value_LS > centre_L2.mean(-1, keepdim=True)
        share_LS2 = torch.stack([~upper_LS, upper_LS], dim=-1).double()
        count_L2 = share_LS2.sum(1)
        moved_L2 = (share_LS2 * value_LS[..., None]).sum(1) / count_L2.clamp(min=1)
        centre_L2 = torch.where(count_L2 > 0, moved_L2, centre_L2)
    return share_LS2


def _gaussian_moments(
    value_LS: torch.Tensor, share_LS2: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The M step: weights, means and variances, each [L, 2]."""
    count_L2 = share_LS2.sum(1) + 10 * torch.finfo(torch.float64).eps
    mean_L2 = (share_LS2 * value_LS[..., None]).sum(1) / count_L2
    squares_LS2 = (value_LS[..., None] - mean_L2[:, None]).square()
    variance_L2 = (share_LS2 * squares_LS2).sum(1) / count_L2 + GAUSSIAN_FLOOR
    return count_L2 / count_L2.sum(-1, keepdim=True), mean_L2, variance_L2


def _gaussian_log_joint(
    value_LS: torch.Tensor, weight_L2: torch.Tensor, mean_L2: torch.Tensor, variance_L2: torch.Tensor
) -> torch.Tensor:
    """ln(weight x density) [L, S, 2]."""
    squares_LS2 = (value_LS[..., None] - mean_L2[:, None]).square() / variance_L2[:, None]
    return weight_L2.log()[:, None] - (squares_LS2 + (2 * torch.pi * variance_L2).log()[:, None]) / 2


@dataclass(frozen=True, eq=False)
class BetaMixture:
    """Two Beta densities of scaled losses, kept as a table of P(noisy | loss)."""

    noisy_LR: torch.Tensor
    """Posterior of the second component at R even points of [0, 1], constant after its maximum."""
    low_L: torch.Tensor
    high_L: torch.Tensor
    """Losses that are scaled to 0 and 1."""

    def noisy_posterior(self, loss_LB: torch.Tensor) -> torch.Tensor:
        """P(mislabelled | loss) -> [L, B], float64, within [1e-4, 1 - 1e-4]."""
        scaled_LB = _between(loss_LB.double(), self.low_L, self.high_L)
        cell_LB = (LOOKUP_CELLS * scaled_LB).long().clamp(0, LOOKUP_CELLS - 1)
        return self.noisy_LR.gather(-1, cell_LB).clamp(1e-4, 1 - 1e-4)


def fit_two_betas(loss_LS: torch.Tensor) -> BetaMixture:
    """Ten EM rounds with weighted moments from Beta(1, 2) and Beta(2, 1) (Arazo et al. 2019, section 3.1).

    Losses beyond the 5th and 95th percentile are left out of the fit.
    """
    loss_LS = loss_LS.double()
    low_L, high_L = (torch.quantile(loss_LS, q, dim=-1) for q in (0.05, 0.95))
    inside_LS = ((loss_LS >= low_L[:, None]) & (loss_LS <= high_L[:, None])).double()
    low_L = low_L + 1e-5  # as the official program shifts it, after the outliers are chosen
    value_LS = _between(loss_LS, low_L, high_L)
    shape = (len(loss_LS), 2)
    alpha_L2 = value_LS.new_tensor([1.0, 2.0]).expand(shape)
    beta_L2 = value_LS.new_tensor([2.0, 1.0]).expand(shape)
    weight_L2 = value_LS.new_tensor([0.5, 0.5]).expand(shape)
    for _ in range(BETA_ITERATIONS):
        joint_LS2 = _beta_joint(value_LS, alpha_L2, beta_L2, weight_L2).clamp(min=_TINY)
        share_LS2 = joint_LS2 / joint_LS2.sum(-1, keepdim=True) * inside_LS[..., None]
        alpha_L2, beta_L2 = _beta_from_moments(value_LS, share_LS2)
        weight_L2 = share_LS2.sum(1) / share_LS2.sum((1, 2))[:, None]
    return BetaMixture(_lookup(alpha_L2, beta_L2, weight_L2), low_L, high_L)


def _between(loss_LS: torch.Tensor, low_L: torch.Tensor, high_L: torch.Tensor) -> torch.Tensor:
    """(loss - low) / (high - low) within (0, 1); values outside stay BETA_EDGE away from the ends."""
    scaled_LS = (loss_LS - low_L[:, None]) / ((high_L - low_L)[:, None] + 1e-6)
    inside_LS = torch.where(scaled_LS >= 1, 1 - BETA_EDGE, torch.where(scaled_LS <= 0, BETA_EDGE, scaled_LS))
    return inside_LS.clamp(1e-4, 1 - 1e-4)


def _beta_joint(
    value_LS: torch.Tensor, alpha_L2: torch.Tensor, beta_L2: torch.Tensor, weight_L2: torch.Tensor
) -> torch.Tensor:
    """weight x density [L, S, 2]."""
    log_norm_L2 = torch.lgamma(alpha_L2 + beta_L2) - torch.lgamma(alpha_L2) - torch.lgamma(beta_L2)
    log_x_LS1, log_rest_LS1 = value_LS.log()[..., None], torch.log1p(-value_LS)[..., None]
    exponent_LS2 = (alpha_L2 - 1)[:, None] * log_x_LS1 + (beta_L2 - 1)[:, None] * log_rest_LS1
    return weight_L2[:, None] * (exponent_LS2 + log_norm_L2[:, None]).exp()


def _beta_from_moments(value_LS: torch.Tensor, share_LS2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """alpha = m (m (1 - m) / v - 1) and beta = alpha (1 - m) / m of the weighted mean m and variance v, each [L, 2]."""
    count_L2 = share_LS2.sum(1)
    mean_L2 = (share_LS2 * value_LS[..., None]).sum(1) / count_L2
    squares_LS2 = (value_LS[..., None] - mean_L2[:, None]).square()
    variance_L2 = ((share_LS2 * squares_LS2).sum(1) / count_L2).clamp(min=_TINY)
    alpha_L2 = mean_L2 * (mean_L2 * (1 - mean_L2) / variance_L2 - 1)
    return alpha_L2, alpha_L2 * (1 - mean_L2) / mean_L2


def _lookup(alpha_L2: torch.Tensor, beta_L2: torch.Tensor, weight_L2: torch.Tensor) -> torch.Tensor:
    """P(second component) at even points [L, R], held at its maximum after it: large losses stay suspicious."""
    grid_R = torch.linspace(_TINY, 1 - _TINY, LOOKUP_CELLS, dtype=torch.float64, device=alpha_L2.device)
    joint_LR2 = _beta_joint(grid_R.expand(len(alpha_L2), -1), alpha_L2, beta_L2, weight_L2)
    noisy_LR = joint_LR2[..., 1] / (joint_LR2.sum(-1) + _TINY)
    peak_L1 = noisy_LR.argmax(-1, keepdim=True)
    cell_R = torch.arange(LOOKUP_CELLS, device=noisy_LR.device)
    return torch.where(cell_R >= peak_L1, noisy_LR.amax(-1, keepdim=True), noisy_LR)
