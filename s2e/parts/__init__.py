"""Parts: one torch-free declaration for everything a job may name, and the registries that find them.

    METHODS NETWORKS DATASETS NOISE SEARCHERS SPACES    declared by ``@method``, ``@network``, ``@dataset``, ...
    PROTOCOLS KINDS                                     published protocols; kinds of job

An outside package declares a part with the same decorators and names it as an entry point of the group
``s2e.methods``, ``s2e.networks``, ``s2e.datasets``, ``s2e.searchers`` or ``s2e.spaces``.
"""

from s2e.parts.data import DATASETS, NOISE, DatasetPart, NoisePart, Statistics, dataset, noise, noise_of
from s2e.parts.jobs import KINDS, PROTOCOLS, JobKind, Lookup, ProtocolCase, ProtocolPart, Recommended, Worst
from s2e.parts.listing import REGISTRIES, Listed, Setting, listing
from s2e.parts.part import Part
from s2e.parts.registry import Fault, Origin, Registry
from s2e.parts.searching import SEARCHERS, SPACES, SearcherPart, SpacePart, searcher, space
from s2e.parts.training import METHODS, NETWORKS, FittedPart, MethodPart, NetworkPart, method, network
from s2e.words.fields import param

__all__ = [
    "DATASETS",
    "KINDS",
    "METHODS",
    "NETWORKS",
    "NOISE",
    "PROTOCOLS",
    "REGISTRIES",
    "SEARCHERS",
    "SPACES",
    "DatasetPart",
    "Fault",
    "FittedPart",
    "JobKind",
    "Listed",
    "Lookup",
    "MethodPart",
    "NetworkPart",
    "NoisePart",
    "Origin",
    "Part",
    "ProtocolCase",
    "ProtocolPart",
    "Recommended",
    "Registry",
    "SearcherPart",
    "Setting",
    "SpacePart",
    "Statistics",
    "Worst",
    "dataset",
    "listing",
    "method",
    "network",
    "noise",
    "noise_of",
    "param",
    "searcher",
    "space",
]  # fmt: skip
