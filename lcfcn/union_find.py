"""Union-find: the trees of a forest, and the tree that a node belongs to (Galler and Fisher, 1964)."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def find_root(parents: np.ndarray, node: int) -> int:
    """Return the root of the tree that a node belongs to, and shorten the path to it for the next call.

    Parameters
    ----------
    parents : (n,) int32 ndarray
        The parent of each node. A root is its own parent.
    node : int
    """
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node
