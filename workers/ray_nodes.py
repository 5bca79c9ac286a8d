"""Nodes of a Ray cluster and their resources, in the words of the backend port."""

from __future__ import annotations

from typing import Any

from s2e.words import PlanSpec


def resources(plan: PlanSpec) -> dict[str, float]:
    """Resources that one population occupies, by Ray's names."""
    return {"GPU": 1.0} if plan.device == "cuda" else {"CPU": float(plan.threads)}


def name_of(node: dict[str, Any]) -> str:
    """A node for people: its host, and a part that tells it from others there."""
    return f"{node['NodeManagerHostname']} {node['NodeID'][:8]}"


def fits(total: dict[str, float], asks: dict[str, float]) -> bool:
    """True if a node with the resources ``total`` could ever hold a population that needs ``asks``."""
    return all(total.get(name, 0) >= n for name, n in asks.items())


def words(asks: dict[str, float]) -> str:
    """The resources a population needs, in words."""
    return "a GPU" if "GPU" in asks else f"{asks['CPU']:g} CPU"


def reason_of(error: Exception) -> str:
    """Ray's long messages in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
