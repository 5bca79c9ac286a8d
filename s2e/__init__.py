"""S2E: searching the keep-rate schedule R(t) for learning with noisy labels.

The science only: nothing in this package knows HTTP, SQL or Ray.
Read ``spec`` -> ``schedule`` -> ``search/newton`` -> ``methods`` -> ``train``.
"""

__version__ = "0.1.0"
