"""LCFCN: a network that is trained by the LCFCN loss and counts the blobs of its output."""

import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from lcfcn.bumps import compute_bump_loss
from lcfcn.choice import READINGS, ReadingChoice, best_reading
from lcfcn.lcfcn_loss import LCFCNLoss, NonFiniteError, blobs2points, compute_game, get_blobs
from lcfcn.metrics import dense_counts, mae, rmse
from lcfcn.reading import BLOBS, Reading
from src import pictures
from src.datasets.transforms import denormalize
from src.distributed import Team
from src.errors import UserError, one_line
from src.models.bases import build_base
from src.models.fpn import FPN
from src.models.mirror import Mirrored
from src.optim import make_average, make_optimizer, make_schedule
from src.runtime import Runtime, StopRequest
from src.schema import BATCH, VALIDATION

GAME_LEVELS = (1, 2, 3)
AREA_OF_A_CLICK = 120**2
"""Pixels; where clicks are fewer, the loss of the bumps is divided by the area instead."""


class LCFCN:
    """A network with its optimizer: `*_on_loader` works through data, `*_on_batch` through one batch.

    Parameters
    ----------
    exp_dict : dict
        The experiment, see `exp_configs.py`.
    runtime : Runtime
        Device and precision.
    n_steps : int
        Batches in the whole training, for the learning-rate schedule.
    stop : StopRequest, optional
        Asked after each batch; `Stopped` is raised when it says so.
    """

    def __init__(self, exp_dict: dict, runtime: Runtime, n_steps: int = 1, stop: StopRequest | None = None) -> None:
        torch.manual_seed(exp_dict["seed"])
        self.transform = exp_dict["dataset"]["transform"]
        self.zoom = exp_dict["dataset"].get("zoom", 1)
        options = {key: value for key, value in exp_dict["model"].items() if key not in ("name", "base")}
        self.n_classes = exp_dict["model"]["n_classes"]
        self.runtime = runtime
        self.model_base = runtime.place(build_base(exp_dict["model"]["base"], **options))
        parameters = [p for p in self.model_base.parameters() if p.requires_grad]
        # A fused optimizer reads the scaler's verdict on the GPU, without a copy to the host.
        self.opt = make_optimizer(exp_dict, parameters, fused=runtime.is_cuda)
        self.scaler = runtime.make_scaler()
        self.average = make_average(self.model_base, exp_dict["average"]) if exp_dict.get("average") else None
        self.schedule = make_schedule(exp_dict, self.opt, n_steps)
        self.mirror = exp_dict.get("mirror", False)
        if self.mirror and not isinstance(self.model_base, FPN):
            raise UserError(
                f"mirror is True with model.base {exp_dict['model']['base']}; expected a base whose name begins with "
                "fpn: --set mirror=False, or another model.base"
            )
        self.n_warm_up, self.bumps = round(exp_dict.get("warm_up", 0) * n_steps), exp_dict.get("bumps", 0)
        options = exp_dict.get("loss", {})
        self.divides_by_batch = options.get("divide_by_points") == BATCH
        self.loss = LCFCNLoss(**(options | {"divide_by_points": False} if self.divides_by_batch else options))
        self.chooses_reading = exp_dict.get("reading") == VALIDATION
        self.reading = BLOBS if self.chooses_reading else Reading(**exp_dict.get("reading", {}))
        self.stop = stop or StopRequest()
        self.sums: dict[str, float] = {}

    @classmethod
    def from_checkpoint(cls, exp_dict: dict, checkpoint: dict, runtime: Runtime) -> "LCFCN":
        """The trained network of a checkpoint; the weights that its training began from are not looked for.

        Raises
        ------
        UserError
            If the checkpoint's parameters are not those of the experiment's network.
        """
        model = cls({**exp_dict, "model": {**exp_dict["model"], "pretrained": None}, "average": 0}, runtime)
        model.load_state_dict({"model": checkpoint["model"]})
        return model

    @property
    def network(self) -> torch.nn.Module:
        """The network whose weights predict: `model_base`, or the average of it if the experiment has one."""
        return self.average.module if self.average else self.model_base

    @property
    def predicting(self) -> torch.nn.Module:
        """What turns images into the logits that are read: `network`, which may look at their mirror images too."""
        return Mirrored(self.network) if self.mirror else self.network

    @property
    def team(self) -> Team:
        """The processes that train this network together."""
        return self.runtime.team

    @cached_property
    def parallel_base(self) -> torch.nn.Module:
        """`model_base` as the processes train it together; made when it is first used, with the weights of then."""
        return self.team.wrap(self.model_base)

    def train_on_loader(self, loader: DataLoader) -> dict[str, float]:
        """Train through an epoch, or the rest of one that `load_state_dict` took up in the middle.

        Returns
        -------
        scores : dict
            `train_loss` and its terms (mean an image), `lr`, `train_seconds`, `images_per_second`.
        """
        self.model_base.train()
        n_done = int(self.sums.get("n_batches", 0))
        batches = self.team.batches(loader)
        with self._bar(batches, "train", initial=n_done, total=len(loader)) as bar:
            start = time.perf_counter()
            for batch in bar:
                scores = self.train_on_batch(batch)
                n_images = batch.get("n_images", len(batch["images"]))
                now = time.perf_counter()
                self._add(n_batches=1, n_images=n_images, seconds=now - start)
                self._add(**{key: value * n_images for key, value in scores.items()})
                start = now
                bar.set_postfix(loss=f"{self.sums['train_loss'] / self.sums['n_images']:.4g}")
                with self.team.together():
                    self.stop.check()
        return self._finish_epoch()

    def _bar(self, batches: Iterable[dict], name: str, **options: int) -> tqdm:
        # Where it is not named, the variable TQDM_DISABLE decides.
        options |= {} if self.team.is_first else {"disable": True}
        return tqdm(batches, desc=name, leave=False, **options)

    def _add(self, **values: float) -> None:
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, 0.0) + value

    def _finish_epoch(self) -> dict[str, float]:
        n_images = self.sums["n_images"]
        scores = {key: value / n_images for key, value in self.sums.items() if key.startswith("train_")}
        seconds = self.sums["seconds"]
        return {
            **scores,
            "lr": self.opt.param_groups[0]["lr"],
            "train_seconds": seconds,
            "images_per_second": n_images / max(seconds, 1e-9),
        }

    def with_reading(self, exp_dict: dict) -> dict:
        """The experiment with the reading that validation chose, if it was to."""
        if not self.chooses_reading:
            return exp_dict
        found = zip(Reading._fields, self.reading, BLOBS, strict=True)
        return {**exp_dict, "reading": {key: value for key, value, default in found if value != default}}

    def take_up_reading(self, exp_dict: dict) -> None:
        """Take up what validation chose before, from `with_reading`."""
        if self.chooses_reading:
            self.reading = Reading(**exp_dict["reading"])

    def start_epoch(self) -> None:
        """Forget the running sums of the epoch that ended."""
        self.sums = {}

    def train_on_batch(self, batch: dict) -> dict[str, float]:
        """Take one step, and return `train_loss` and its terms, over the whole batch if this is a share of it.

        Raises
        ------
        UserError
            If the network's output is not finite, with the image's name; the step is not taken.
        """
        self.opt.zero_grad(set_to_none=True)
        weight = batch.get("weight", 1.0)
        batch = {**batch, **self._divisors(batch, weight)}
        with self.team.together():
            logits = self._training_logits(batch)
            loss, terms = self._loss(logits, batch)
        self.scaler.scale(loss * weight).backward()
        self.scaler.step(self.opt)
        self.scaler.update()
        if self.average:
            self.average.update_parameters(self.model_base)
        self.schedule.step()
        # One copy from the device for all of them; their sum is the loss.
        fetched = torch.stack(list(terms.values())).tolist()
        values = self.team.mean({f"train_{t}": value for t, value in zip(terms, fetched, strict=True)}, weight)
        return {"train_loss": sum(values.values()), **values}

    def _training_logits(self, batch: dict) -> torch.Tensor:
        try:
            with self.runtime.autocast():
                return self.parallel_base(self.runtime.images(batch))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            size = tuple(batch["images"].shape)
            raise UserError(
                f"a batch of shape {size} is too small for batch norm to learn from; expected more images or larger "
                "ones: raise batch_size or dataset.augment.crop, or --set model.freeze_batch_norm=True"
            ) from None

    def _divisors(self, batch: dict, weight: float) -> dict[str, float]:
        """By what the losses of the whole batch are divided, so that an object weighs the same in whatever company.

        The bumps ask something of each pixel: without a floor, background with few objects would outweigh all else.
        """
        if not (self.divides_by_batch or self.bumps or self.n_warm_up):
            return {}
        clicks = ((batch["points"] > 0) & batch["roi"]).flatten(1).sum(1)
        area = batch["roi"].flatten(1).sum(1)
        means = {"clicks": clicks.clamp(min=1), "bumps": torch.maximum(clicks, area / AREA_OF_A_CLICK)}
        return self.team.mean(
            {f"{key}_an_image": values.double().mean().item() for key, values in means.items()}, weight
        )

    def _loss(self, logits: torch.Tensor, batch: dict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss that is to be learned from, and its terms."""
        given = (logits, batch["points"], batch["roi"])
        # Of the schedule, since it knows how many steps were taken before the run went on from a checkpoint.
        is_warm = self.schedule.last_epoch >= self.n_warm_up
        terms = {}
        try:
            if is_warm:
                loss, terms = self.loss(*given, return_terms=True)
                if self.divides_by_batch:
                    loss = loss / batch["clicks_an_image"]
                    terms = {term: value / batch["clicks_an_image"] for term, value in terms.items()}
            if self.bumps or not is_warm:
                bumps = compute_bump_loss(*given) / batch["bumps_an_image"] * (self.bumps if is_warm else 1)
                loss, terms = (loss + bumps if is_warm else bumps), {**terms, "bumps": bumps.detach()}
        except NonFiniteError as error:
            raise _not_finite("loss", batch["meta"][error.index]) from None
        return loss, terms

    @torch.no_grad()
    def val_on_loader(self, loader: DataLoader) -> dict[str, float]:
        """Count and locate on images one by one, and score the counts.

        If the experiment leaves the reading to the validation data, the best of `lcfcn.choice.READINGS` on these images
        is taken up first, and an object's place is its peak.

        Returns
        -------
        scores : dict
            `val_mae` (mean over the classes; with several, `val_mae_1` ... too), `val_rmse`, `val_game_1..3`
            (likewise means over the classes), `val_score` (-val_mae), `val_seconds`.
        """
        self.team.average_buffers(self.network)
        self.network.eval()
        start = time.perf_counter()
        errors, games = (self._choose_reading if self.chooses_reading else self._count_all)(loader)
        errors = self.team.gather(np.reshape(errors, (-1, self.n_classes)))
        games = self.team.gather(np.reshape(games, (-1, self.n_classes, len(GAME_LEVELS))))
        return {**count_scores(errors, games), "val_seconds": time.perf_counter() - start}

    def _count_all(self, loader: DataLoader) -> tuple[list, list]:
        """What `val_on_batch` returns, for all images of this process's share."""
        errors, games = [], []
        with self.team.together(), self._bar(loader, "val") as bar:
            for batch in bar:
                scores = self.val_on_batch(batch)
                errors.extend(scores["errors"])
                games.extend(scores["games"])
                bar.set_postfix(mae=f"{mae(np.array(errors)):.3f}")
                self.stop.check()
        return errors, games

    def _choose_reading(self, loader: DataLoader) -> tuple[np.ndarray, list]:
        """`_count_all` by the reading that counts the images of all processes best, which is kept."""
        choice, images = ReadingChoice(), []
        with self.team.together(), self._bar(loader, "val") as bar:
            for batch in bar:
                probs = self.predict_probs(batch)
                for n, meta in enumerate(batch["meta"]):
                    choice.add(probs[n], batch["counts"][n].numpy(), batch["roi"][n].numpy())
                    images.append((meta, probs.shape[-2:]))
                self.stop.check()
        errors = np.reshape(choice.errors(), (-1, self.n_classes, len(READINGS)))
        best = best_reading(self.team.gather(errors.astype(np.float64)))
        self.reading = READINGS[best]
        games = [
            [_games(dense_counts(places, shape), meta, k) for k, places in enumerate(found, start=1)]
            for (meta, shape), found in zip(images, choice.objects(self.reading), strict=True)
        ]
        return errors[..., best], games

    @torch.no_grad()
    def val_on_batch(self, batch: dict) -> dict[str, list]:
        """`errors` of the counts, predicted - true, (N, K), and `games` at `GAME_LEVELS`, (N, K, 3)."""
        blobs = get_blobs(self.predict_probs(batch), batch["roi"].numpy(), self.reading)
        true_counts = batch["counts"].numpy()
        errors, games = [], []
        for n, meta in enumerate(batch["meta"]):
            predicted = blobs2points(blobs[n])
            errors.append(blobs[n].max(axis=(1, 2)) - true_counts[n])
            games.append([_games(predicted[k], meta, k + 1) for k in range(len(predicted))])
        return {"errors": errors, "games": games}

    @torch.no_grad()
    def predict_probs(self, batch: dict) -> np.ndarray:
        """(N, 1, H, W) or (N, K + 1, H, W) float32 probabilities of a batch; UserError if one is not finite."""
        with self.runtime.autocast():
            logits = self.predicting(self.runtime.images(batch)).float()
        probs = to_probs(logits).cpu().numpy()
        finite = np.isfinite(probs).reshape(len(probs), -1).all(axis=1)
        if not finite.all():
            raise _not_finite("output", batch["meta"][int(finite.argmin())])
        return probs

    @torch.no_grad()
    def vis_on_loader(self, loader: Iterable[dict], savedir: Path) -> list[Path]:
        """Draw each image with true points | predicted blobs and their count | heat map, and return the files."""
        self.network.eval()
        files = []
        for batch in loader:
            probs = self.predict_probs(batch)
            blobs = get_blobs(probs, batch["roi"].numpy(), self.reading)
            for n, meta in enumerate(batch["meta"]):
                image = denormalize(batch["images"][n], self.transform)
                heat = probs[n, 0] if probs.shape[1] == 1 else 1 - probs[n, 0]
                sheet = pictures.result_sheet(image, meta["point_list"].numpy(), blobs[n], heat)
                files.append(Path(savedir) / f"{meta['index']:05d}_{Path(meta['name']).stem}.png")
                pictures.save_png(files[-1], sheet)
        return files

    def get_state_dict(self) -> dict:
        """All that training needs to go on: network, optimizer, schedule, random state and the epoch's sums.

        It is the same whatever number of processes train together, and all of them must ask for it at once.
        """
        networks = {"model": self.network, **({"trained": self.model_base} if self.average else {})}
        for network in networks.values():
            self.team.average_buffers(network)
        return {
            **{key: network.state_dict() for key, network in networks.items()},
            "opt": self.opt.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": self.runtime.random_state(),
            "sums": self.sums,
        }

    def load_state_dict(self, state: dict) -> None:
        """Take up `get_state_dict`, or a published checkpoint that holds `model` and perhaps `opt`.

        Raises
        ------
        UserError
            If the parameters, or what else there is, are not those of this network.
        """
        try:
            self.network.load_state_dict(state["model"])
            if self.average:
                self.model_base.load_state_dict(state.get("trained", state["model"]))
            if "opt" in state:
                self.opt.load_state_dict(state["opt"])
            if "random" in state:
                self._take_up_run(state)
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            reason = one_line(error)[:200]
            raise UserError(
                f"the checkpoint does not fit this network ({reason}): choose the base it was made with"
            ) from None

    def _take_up_run(self, state: dict) -> None:
        self.schedule.load_state_dict(state["schedule"])
        if self.average:
            self.average.n_averaged.fill_(self.schedule.last_epoch)
        if state["scaler"] and self.scaler.is_enabled():  # both runs are in float16
            self.scaler.load_state_dict(state["scaler"])
        self.runtime.set_random_state(state["random"])
        self.sums = dict(state["sums"])


def to_probs(logits: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) logits to probabilities: sigmoid for one channel, else softmax with the background in channel 0."""
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)


def _not_finite(what: str, meta: dict) -> UserError:
    return UserError(
        f"the {what} is not finite at image {meta['name']} ({meta['path']}): "
        "lower --set lr=..., use --precision 32 or bf16, or look for broken values in that image"
    )


def count_scores(errors: np.ndarray, games: np.ndarray) -> dict[str, float]:
    """Scores from (N, K) errors of the counts and (N, K, levels) GAMEs; means over the classes."""
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


def _games(predicted: np.ndarray, meta: dict, label: int) -> list[float]:
    """GAME at `GAME_LEVELS` of one class, from the point list so that two clicks on one pixel count twice."""
    true_points = meta["point_list"][meta["labels"] == label].numpy()
    truth = dense_counts(true_points, predicted.shape)
    return [compute_game(predicted, truth, level) for level in GAME_LEVELS]
