"""Scores of predictions against the clicks, with their 95 % intervals.

Nothing here chooses anything: no threshold, no checkpoint, no image.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lcfcn import metrics
from lcfcn.errors import UserError
from src.evaluation.pairing import ScoredImage
from src.evaluation.reach import PER_OBJECT, SIGMAS, SWEEP, Sigma, name_of

GAME_LEVELS = (0, 1, 2, 3)
N_DRAWS = 2000
"""Draws of the bootstrap."""


@dataclass(frozen=True)
class Tally:
    """The numbers that scores are made of, for N images, K classes and S reaches.

    Attributes
    ----------
    sigmas : tuple of S float or str
    true_counts, pred_counts : (N, K) ndarray
    games : (N, K, 4) ndarray
        GAME at `GAME_LEVELS`.
    matches : (N, S, K, 3) ndarray
        True positives, false positives and false negatives, see `lcfcn.metrics.count_matches`.
    """

    sigmas: tuple[Sigma, ...]
    true_counts: np.ndarray
    pred_counts: np.ndarray
    games: np.ndarray
    matches: np.ndarray

    @property
    def n_classes(self) -> int:
        """K, the number of classes."""
        return self.true_counts.shape[1]

    def of_class(self, k: int) -> "Tally":
        """Return the tally of one class. `k` counts from 0."""
        arrays = (self.true_counts[:, [k]], self.pred_counts[:, [k]], self.games[:, [k]], self.matches[:, :, [k]])
        return Tally(self.sigmas, *arrays)

    def of_images(self, indices: np.ndarray) -> "Tally":
        """Return the tally of some images."""
        arrays = (self.true_counts, self.pred_counts, self.games, self.matches)
        return Tally(self.sigmas, *(values[indices] for values in arrays))

    def at(self, sigmas: Sequence[Sigma]) -> "Tally":
        """Return the tally at some of the reaches, in this order."""
        chosen = [self.sigmas.index(sigma) for sigma in sigmas]
        return dataclasses.replace(self, sigmas=tuple(sigmas), matches=self.matches[:, chosen])


def tally(images: Sequence[ScoredImage], n_classes: int, sigmas: Iterable[Sigma]) -> Tally:
    """Count what is right and wrong in each image.

    Parameters
    ----------
    images : sequence of ScoredImage
    n_classes : int
    sigmas : iterable
        The reaches of the scores. Those of the sweep are added, and all are sorted.

    Raises
    ------
    UserError
        If `sigmas` holds "object" and the size of an object is not known.
    """
    sigmas = tuple(sorted({*SWEEP, *sigmas}, key=lambda sigma: math.inf if sigma == PER_OBJECT else sigma))
    return Tally(
        sigmas,
        true_counts=np.stack([image.true_counts for image in images]),
        pred_counts=np.stack([image.pred_counts for image in images]),
        games=np.array([_games(image, n_classes) for image in images]),
        matches=np.stack([_match(image, n_classes, sigmas) for image in images]),
    )


def _match(image: ScoredImage, n_classes: int, sigmas: Iterable[Sigma]) -> np.ndarray:
    """Return true positives, false positives and false negatives of one image, (S, K, 3)."""
    return np.stack(
        [
            metrics.count_matches(
                image.pred_points,
                image.pred_labels,
                image.true_points,
                image.true_labels,
                n_classes,
                checked_sizes(image.name, image.object_sigmas) if sigma == PER_OBJECT else sigma,
            )
            for sigma in sigmas
        ]
    )


def checked_sizes(name: str, object_sigmas: np.ndarray | None) -> np.ndarray:
    """Return the reach of each object of an image; raise `UserError` if one is not known."""
    n_unknown = None if object_sigmas is None else int(np.isnan(object_sigmas).sum())
    if n_unknown != 0:
        missing = "no sizes" if n_unknown is None else f"{n_unknown} clicks without a size"
        raise UserError(
            f"--sigmas {PER_OBJECT} needs the size of each object, and the data has {missing} in {name}: "
            "give numbers of pixels, or fill the column size of points.csv"
        )
    return object_sigmas


def _games(image: ScoredImage, n_classes: int) -> list[list[float]]:
    games = []
    for label in range(1, n_classes + 1):
        pred = metrics.dense_counts(image.pred_points[image.pred_labels == label], image.shape)
        true = metrics.dense_counts(image.true_points[image.true_labels == label], image.shape)
        games.append([metrics.compute_game(pred, true, level) for level in GAME_LEVELS])
    return games


def flat_scores(found: Tally) -> dict[str, float]:
    """Return all scores by name.

    `mae`, `rmse`, `nae`, `bias` and `game_0..3` are means over the classes. Several classes have `mrmse` and `mrmse_nz`
    too. `precision_S`, `recall_S` and `f1_S` of each reach S are pooled over images and classes.
    """
    pred, true = found.pred_counts, found.true_counts
    naes = np.array([metrics.nae(p, t) for p, t in zip(pred.T, true.T, strict=True)])
    scores = {
        "mae": float(np.mean([metrics.mae(errors) for errors in (pred - true).T])),
        "rmse": metrics.mrmse(pred, true),
        "nae": math.nan if np.isnan(naes).all() else float(np.nanmean(naes)),
        "bias": metrics.bias(pred - true),
        **{f"game_{level}": float(found.games[..., i].mean()) for i, level in enumerate(GAME_LEVELS)},
    }
    if found.n_classes > 1:
        scores |= {"mrmse": scores["rmse"], "mrmse_nz": metrics.mrmse_nz(pred, true)}
    for i, sigma in enumerate(found.sigmas):
        located = metrics.localisation_scores(found.matches[:, i])
        scores |= {f"{key}_{name_of(sigma)}": located[key] for key in ("precision", "recall", "f1")}
    return scores


def score(
    found: Tally,
    class_names: Sequence[str],
    sigmas: Sequence[Sigma] = SIGMAS,
    seed: int = 0,
    n_draws: int = N_DRAWS,
) -> dict:
    """Return all scores of a tally with their 95 % intervals, ready for JSON. A score that is not defined is None.

    Parameters
    ----------
    found : Tally
    class_names : sequence of str
    sigmas : sequence
        The reaches of the scores. The tally must hold them. All reaches of the tally make the sweep.
    seed, n_draws : int
        The seed and the number of draws of the intervals.

    Returns
    -------
    report : dict
        `n_images`, `n_images_without_object`, `classes`, `sigmas`, `bootstrap` (how the intervals were made), and
        `all`: `n_objects`, `n_predicted`, `scores` (by name, `value` and `interval`, see `flat_scores`) and `sweep` (a
        row for each reach: `tp`, `fp`, `fn`, `precision`, `recall`, `f1`). With several classes `by_class` has the
        same for each class.
    """
    report = {
        "n_images": len(found.true_counts),
        "n_images_without_object": int((found.true_counts.sum(axis=1) == 0).sum()),
        "classes": list(class_names),
        "sigmas": list(sigmas),
        "bootstrap": {"level": 0.95, "method": "percentile, over images", "n_draws": n_draws, "seed": seed},
        "all": _block(found, sigmas, seed, n_draws),
    }
    if found.n_classes > 1:
        report["by_class"] = {
            name: _block(found.of_class(k), sigmas, seed, n_draws) for k, name in enumerate(class_names)
        }
    return _without_nan(report)


def _block(found: Tally, sigmas: Sequence[Sigma], seed: int, n_draws: int) -> dict:
    scored = found.at(sigmas)
    values = flat_scores(scored)
    low, high = metrics.bootstrap_interval(
        lambda indices: np.array(list(flat_scores(scored.of_images(indices)).values())),
        len(found.true_counts),
        n=n_draws,
        seed=seed,
    )
    triples = zip(values.items(), low.tolist(), high.tolist(), strict=True)
    return {
        "n_objects": int(found.true_counts.sum()),
        "n_predicted": float(found.pred_counts.sum()),
        "scores": {name: {"value": value, "interval": [least, most]} for (name, value), least, most in triples},
        "sweep": [
            {"sigma": sigma, **metrics.localisation_scores(found.matches[:, i])} for i, sigma in enumerate(found.sigmas)
        ],
    }


def _without_nan(value: object) -> object:
    """Return the value with None for each NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
