"""Score counts and places on the validation images, and find the decoding that counts best on them."""

from collections.abc import Callable, Iterable

import numpy as np

from lcfcn.blobs import blobs2points, get_blobs
from lcfcn.decoding import Decoding
from lcfcn.decoding_search import DECODINGS, DecodingSearch, best_decoding
from lcfcn.metrics import compute_game, dense_counts, mae, rmse

GAME_LEVELS = (1, 2, 3)
KEPT_BYTES = 2**30
"""So many bytes of probabilities are kept, so that the chosen decoding needs no second pass through the network."""


class Probabilities:
    """The probabilities of one image after the other. Those of the first images are kept for a second use.

    Parameters
    ----------
    compute : callable
        Turns a batch of one image into (1, C, H, W) probabilities.
    kept_bytes : int
        How many bytes are kept.
    """

    def __init__(self, compute: Callable[[dict], np.ndarray], kept_bytes: int = KEPT_BYTES) -> None:
        self._compute = compute
        self._room = kept_bytes
        self._kept: dict[int, np.ndarray] = {}

    def of(self, place: int, batch: dict) -> np.ndarray:
        """Return the probabilities of the batch at a place in the loader."""
        if place in self._kept:
            return self._kept.pop(place)
        return self._compute(batch)

    def keep(self, place: int, probs: np.ndarray) -> None:
        """Keep probabilities for one more call of `of`, if there is room."""
        if probs.nbytes <= self._room:
            self._room -= probs.nbytes
            self._kept[place] = probs


def search_errors(search: DecodingSearch, n_classes: int) -> np.ndarray:
    """Return the errors of the counts of N images and K classes with each of R `DECODINGS`, (N, K, R) float64."""
    return np.reshape(search.errors(), (-1, n_classes, len(DECODINGS))).astype(np.float64)


def choose_decoding(errors: np.ndarray) -> Decoding:
    """Return the decoding that counts best, from `search_errors` of all images."""
    return DECODINGS[best_decoding(errors)]


def score_batch(probs: np.ndarray, batch: dict, decoding: Decoding) -> tuple[list[np.ndarray], list[list]]:
    """Count and locate the objects of a batch.

    Returns
    -------
    errors : list of N (K,) ndarray
        Errors of the counts, predicted - true.
    games : list of N lists
        (K, 3): GAME of each class at `GAME_LEVELS`. An object's place is its blob's point.
    """
    blobs = get_blobs(probs, batch["roi"].numpy(), decoding)
    true_counts = batch["counts"].numpy()
    errors, games = [], []
    for n, meta in enumerate(batch["meta"]):
        predicted = blobs2points(blobs[n])
        errors.append(blobs[n].max(axis=(1, 2)) - true_counts[n])
        games.append([_games(predicted[k], meta, k + 1) for k in range(len(predicted))])
    return errors, games


def _games(predicted: np.ndarray, meta: dict, label: int) -> list[float]:
    """Return the GAME of one class at `GAME_LEVELS`. It uses the point list, so two clicks on one pixel count twice."""
    true_points = meta["point_list"][meta["labels"] == label].numpy()
    truth = dense_counts(true_points, predicted.shape)
    return [compute_game(predicted, truth, level) for level in GAME_LEVELS]


def count_scores(errors: np.ndarray, games: np.ndarray) -> dict[str, float]:
    """Return the scores from (N, K) errors of the counts and (N, K, levels) GAMEs, as means over the classes."""
    n_classes = errors.shape[1]
    val_mae = float(np.mean([mae(errors[:, k]) for k in range(n_classes)]))
    per_class = {f"val_mae_{k + 1}": mae(errors[:, k]) for k in range(n_classes)} if n_classes > 1 else {}
    return {
        "val_mae": val_mae,
        **per_class,
        "val_rmse": float(np.mean([rmse(errors[:, k]) for k in range(n_classes)])),
        **{f"val_game_{level}": float(games[..., i].mean()) for i, level in enumerate(GAME_LEVELS)},
        "val_score": -val_mae,
    }


def running_mae(errors: Iterable[np.ndarray]) -> float:
    """Return the mean absolute error of the counts so far, for the progress bar."""
    return mae(np.array(list(errors)))
