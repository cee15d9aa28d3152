"""Union-find: which tree of a forest a node belongs to."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def find_root(parents: np.ndarray, node: int) -> int:
    """Return the root of a node's tree, and shorten the way to it.

    Parameters
    ----------
    parents : (n,) int32 ndarray
        The parent of each node; a root is its own parent.
    node : int
    """
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node
