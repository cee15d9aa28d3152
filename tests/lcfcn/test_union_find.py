import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lcfcn.union_find import find_root


def test_trees_that_are_joined_have_one_root():
    rng = np.random.default_rng(0)
    n = 200
    pairs = rng.integers(0, n, (120, 2))
    parents = np.arange(n, dtype=np.int32)
    for one, other in pairs:
        parents[find_root(parents, one)] = find_root(parents, other)
    roots = np.array([find_root(parents, node) for node in range(n)])
    graph = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(n, n))
    n_trees, tree_of = connected_components(graph, directed=False)
    assert len(np.unique(roots)) == n_trees > 20
    assert len(np.unique(np.stack([roots, tree_of]), axis=1).T) == n_trees
    assert (parents[roots] == roots).all()


def test_the_path_to_the_root_becomes_shorter():
    parents = np.array([0, 0, 1, 2, 3, 4], dtype=np.int32)
    assert find_root(parents, 5) == 0
    assert parents.tolist() == [0, 0, 1, 1, 3, 3]
    for _ in range(3):
        find_root(parents, 5)
    assert parents[5] == 0
