"""LCFCN: a network, trained with the LCFCN loss, that counts the blobs of its output."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from lcfcn.blobs import get_blobs
from lcfcn.counting.compiling import DECODING, LOSS, announce_compiling
from lcfcn.counting.settings import CountingSettings
from lcfcn.counting.trained_network import TrainedNetwork, does_not_fit
from lcfcn.decoding import BLOBS, Decoding
from lcfcn.decoding_search import DecodingSearch
from lcfcn.errors import UserError
from lcfcn.networks.fpn import FPN
from lcfcn.networks.registry import build_network
from lcfcn.stopping import StopRequest
from src.datasets.batch import image_names
from src.experiments.schema import VALIDATION, with_defaults
from src.models import validation
from src.models.objectives import LcfcnObjective, Objective
from src.models.snapshots import draw_snapshots
from src.training.micro_batches import MicroBatches
from src.training.optimizers import check_planned, make_average, make_optimizer, make_schedule
from src.training.progress import Progress, Unminded
from src.training.runtime import Runtime


class LCFCN:
    """A network with its optimizer. `*_on_loader` works through a data set, and `*_on_batch` through a batch.

    Parameters
    ----------
    exp_dict : dict
        The experiment, see `exp_configs.py`.
    runtime : Runtime
        Device, precision and processes.
    n_steps : int
        Steps in the whole training, for the learning-rate schedule.
    stop : StopRequest, optional
        Is asked after each batch, and raises `Stopped` if a signal came.
    objective : Objective, optional
        What the network is trained on; the LCFCN loss by default.
    micro_batches : int, optional
        Parts of a batch; see `src.training.micro_batches`.

    Attributes
    ----------
    model_base : nn.Module
        The network that is trained.
    progress : Progress
        The epoch and the step.
    decoding : Decoding
        How objects are taken from the map. Validation may choose it anew after each epoch.
    """

    def __init__(
        self,
        exp_dict: dict,
        runtime: Runtime,
        n_steps: int = 1,
        stop: StopRequest | None = None,
        objective: Objective | None = None,
        micro_batches: int | None = None,
    ) -> None:
        exp_dict = with_defaults(exp_dict)
        torch.manual_seed(exp_dict["seed"])
        options = {key: value for key, value in exp_dict["model"].items() if key not in ("name", "base")}
        self.exp_dict = exp_dict
        self.n_classes = exp_dict["model"]["n_classes"]
        self.runtime = runtime
        self.model_base = runtime.place(build_network(exp_dict["model"]["base"], **options))
        parameters = [p for p in self.model_base.parameters() if p.requires_grad]
        # A fused optimizer reads on the GPU whether to skip a step, without a copy to the host.
        self.opt = make_optimizer(exp_dict, parameters, fused=runtime.is_cuda)
        self.scaler = runtime.make_scaler()
        self.ema = make_average(self.model_base, exp_dict["ema_decay"]) if exp_dict["ema_decay"] else None
        self.schedule = make_schedule(exp_dict, self.opt, n_steps)
        if exp_dict["flip_test"] and not isinstance(self.model_base, FPN):
            raise UserError(
                f"flip_test is True with model.base {exp_dict['model']['base']}; expected a base whose name begins "
                "with fpn: --set flip_test=False, or another model.base"
            )
        self.objective = objective or LcfcnObjective(exp_dict, n_steps)
        self.micro_batches = MicroBatches(micro_batches)
        self.searches_decoding = exp_dict["decoding"] == VALIDATION
        self.decoding = BLOBS if self.searches_decoding else Decoding(**exp_dict["decoding"])
        self.stop = stop or StopRequest()
        self.progress = Progress()

    @classmethod
    def from_checkpoint(cls, exp_dict: dict, checkpoint: dict, runtime: Runtime) -> "LCFCN":
        """Build the trained network of a checkpoint. The pretrained weights of its training are not needed.

        Raises
        ------
        UserError
            If the checkpoint's parameters are not those of the experiment's network.
        """
        exp_dict = with_defaults(exp_dict)
        model = cls({**exp_dict, "model": {**exp_dict["model"], "pretrained": None}, "ema_decay": 0}, runtime)
        model.load_state_dict({"model": checkpoint["model"]})
        return model

    @property
    def network(self) -> torch.nn.Module:
        """The network whose weights predict: `model_base`, or the running average of it if the experiment has one."""
        return self.ema.module if self.ema else self.model_base

    @property
    def trained(self) -> TrainedNetwork:
        """The network with its settings for counting, and with the present decoding."""
        plain = {**self.exp_dict, "decoding": {}}
        settings = CountingSettings.from_exp_dict(plain, Path("the experiment"))
        return TrainedNetwork(self.network, replace(settings, decoding=self.decoding), self.runtime)

    @cached_property
    def parallel_base(self) -> torch.nn.Module:
        """`model_base` for training in all processes. It is made at the first use, with the weights of that time."""
        return self.runtime.processes.wrap(self.model_base)

    def train_on_loader(self, loader: DataLoader) -> dict[str, float]:
        """Train for one epoch, or for the rest of an epoch that `load_state_dict` restored.

        Returns
        -------
        scores : dict
            `train_loss` and its terms (means over the images), `lr`, `train_seconds`, `images_per_second`.
        """
        self.model_base.train()
        processes = self.runtime.processes
        with self._bar(
            processes.batches(loader), "train", initial=self.progress.step_in_epoch, total=len(loader)
        ) as bar:
            start = time.perf_counter()
            for batch in bar:
                scores = self.train_on_batch(batch)
                now = time.perf_counter()
                self.progress.add_step(scores, batch.get("n_images", len(batch["images"])), now - start)
                start = now
                bar.set_postfix(loss=f"{self.progress.mean('train_loss'):.4g}")
                with processes.together():
                    self.stop.check()
        return {**self.progress.epoch_scores(), "lr": self.opt.param_groups[0]["lr"]}

    def train_on_batch(self, batch: dict) -> dict[str, float]:
        """Take one step, and return `train_loss` and its terms, of the whole batch if this is a share of it.

        Raises
        ------
        UserError
            If the network's output is not finite. The message names the image, and the step is not taken.
        """
        processes = self.runtime.processes
        self.opt.zero_grad(set_to_none=True)
        weight = batch.get("weight", 1.0)
        divisors = processes.mean(self.objective.divisors(batch), weight)
        terms = self._backward(batch, divisors, weight)
        self.scaler.step(self.opt)
        self.scaler.update()
        if self.ema:
            self.ema.update_parameters(self.model_base)
        self.schedule.step()
        # One copy from the device for all terms. Their sum is the loss.
        fetched = torch.stack(list(terms.values())).tolist()
        values = processes.mean({f"train_{t}": value for t, value in zip(terms, fetched, strict=True)}, weight)
        return {"train_loss": sum(values.values()), **values}

    def _backward(self, batch: dict, divisors: dict[str, float], weight: float) -> dict[str, torch.Tensor]:
        """Find the gradients of a batch, part by part, and return the terms of its loss.

        The forward pass of a part is asked for before the weights of the part before are waited for.
        """
        parts = self.micro_batches.cut(batch, self.model_base, self.runtime)
        pool = self.micro_batches.pool(len(parts))
        terms: dict[str, torch.Tensor] = {}
        waiting: Callable[[], None] | None = None
        for part in parts:
            with self.runtime.processes.together():
                logits = self._training_logits(part)
                wait = self.objective.start(logits, part, divisors, self.progress.step, pool)
                if len(parts) == 1:  # of several processes, all must know of a mistake before one goes backward
                    wait = partial(lambda found: found, wait())
            if waiting:
                waiting()
            waiting = partial(self._backward_part, wait, len(part["images"]) / len(batch["images"]), weight, terms)
        waiting()
        return terms

    def _backward_part(
        self,
        wait: Callable[[], tuple[torch.Tensor, dict[str, torch.Tensor]]],
        share: float,
        weight: float,
        terms: dict[str, torch.Tensor],
    ) -> None:
        """Add a part's gradients, and its terms, by the part's share of the batch."""
        loss, found = wait()
        self.scaler.scale(loss * (weight * share)).backward()
        for term, value in found.items():
            terms[term] = terms[term] + value * share if term in terms else value * share

    def _training_logits(self, batch: dict) -> torch.Tensor:
        try:
            with self.runtime.autocast():
                return self.parallel_base(self.runtime.move_images(batch["images"]))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            size = tuple(batch["images"].shape)
            raise UserError(
                f"a batch of shape {size} is too small for batch norm to learn from; expected more images or larger "
                "ones: raise batch_size or dataset.augment.crop, or --set model.freeze_batch_norm=True"
            ) from None

    def val_on_loader(self, loader: DataLoader) -> dict[str, float]:
        """Count and locate on one image after the other, and score the counts.

        If the experiment lets the validation images choose the decoding, the best one of
        `lcfcn.decoding_search.DECODINGS` on these images is found first.

        Returns
        -------
        scores : dict
            `val_mae`, `val_rmse` and `val_game_1..3`, which are means over the classes; with several classes
            `val_mae_1` and so on; `val_score`, which is -val_mae; `val_seconds`.
        """
        start = time.perf_counter()
        processes = self.runtime.processes
        processes.average_buffers(self.network)
        self.network.eval()
        probs = validation.Probabilities(self.predict_probs)
        if self.searches_decoding:
            self.decoding = self._search_decoding(loader, probs)
        errors, games = [], []
        with processes.together(), self._bar(loader, "val") as bar:
            for place, batch in enumerate(bar):
                found = validation.score_batch(probs.of(place, batch), batch, self.decoding)
                errors.extend(found[0])
                games.extend(found[1])
                bar.set_postfix(mae=f"{validation.running_mae(errors):.3f}")
                self.stop.check()
        errors = processes.gather(np.reshape(errors, (-1, self.n_classes)))
        games = processes.gather(np.reshape(games, (-1, self.n_classes, len(validation.GAME_LEVELS))))
        return {**validation.count_scores(errors, games), "val_seconds": time.perf_counter() - start}

    def _search_decoding(self, loader: DataLoader, probs: validation.Probabilities) -> Decoding:
        """Return the decoding that counts best on the images of all processes."""
        search = DecodingSearch()
        with self.runtime.processes.together(), self._bar(loader, "choose the decoding") as bar:
            for place, batch in enumerate(bar):
                computed = probs.of(place, batch)
                for n in range(len(computed)):
                    search.add(computed[n], batch["counts"][n].numpy(), batch["roi"][n].numpy())
                probs.keep(place, computed)
                self.stop.check()
        return validation.choose_decoding(
            self.runtime.processes.gather(validation.search_errors(search, self.n_classes))
        )

    def predict_probs(self, batch: dict) -> np.ndarray:
        """Return (N, 1, H, W) or (N, K + 1, H, W) float32 probabilities; raise `UserError` if one is not finite."""
        return self.trained.probs(batch["images"], image_names(batch))

    def predict_blobs(self, batch: dict) -> np.ndarray:
        """Return the objects of a batch as label images, (N, K, H, W) int32; see `predict_probs` for its error."""
        return get_blobs(self.predict_probs(batch), batch["roi"].numpy(), self.decoding)

    def vis_on_loader(self, loader: Iterable[dict], savedir: Path) -> list[Path]:
        """Draw each image with true points | predicted blobs and their count | heat map, and return the files."""
        self.network.eval()
        return draw_snapshots(self.trained, loader, savedir)

    @contextmanager
    def _bar(self, batches: Iterable[dict], name: str, **options: int) -> Iterator[tqdm]:
        """Show a progress bar, and a line if kernels must be compiled; in the first process only."""
        # Without `disable`, the environment variable TQDM_DISABLE decides.
        options |= {} if self.runtime.processes.is_main else {"disable": True}
        notice = announce_compiling(LOSS if name == "train" else DECODING)
        with (
            notice if self.runtime.processes.is_main else nullcontext(),
            tqdm(batches, desc=name, leave=False, file=Unminded(sys.stderr), **options) as bar,
        ):
            yield bar

    def with_decoding(self, exp_dict: dict) -> dict:
        """Return the experiment, with the decoding that validation chose if that was left to it."""
        if not self.searches_decoding:
            return exp_dict
        found = zip(Decoding._fields, self.decoding, BLOBS, strict=True)
        return {**exp_dict, "decoding": {key: value for key, value, default in found if value != default}}

    def take_up_decoding(self, exp_dict: dict) -> None:
        """Restore the decoding that validation chose, from what `with_decoding` returned."""
        if self.searches_decoding:
            self.decoding = Decoding(**exp_dict["decoding"])

    def get_state_dict(self) -> dict:
        """Return all that training needs to go on: network, optimizer, schedule, random state and progress.

        All processes that train together must call this at once. They get the same state as a single process would.
        """
        networks = {"model": self.network, **({"trained": self.model_base} if self.ema else {})}
        for network in networks.values():
            self.runtime.processes.average_buffers(network)
        return {
            **{key: network.state_dict() for key, network in networks.items()},
            "opt": self.opt.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": self.runtime.random_state(),
            "progress": self.progress.state(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Restore what `get_state_dict` returned, or a published checkpoint that holds `model` and perhaps `opt`.

        Raises
        ------
        UserError
            If the state is not one of this network.
        """
        try:
            self.network.load_state_dict(state["model"])
            if self.ema:
                self.model_base.load_state_dict(state.get("trained", state["model"]))
            if "opt" in state:
                self.opt.load_state_dict(state["opt"])
            if "random" in state:
                self._take_up_run(state)
        except UserError:
            raise
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise does_not_fit(error) from None

    def _take_up_run(self, state: dict) -> None:
        check_planned(self.schedule, state["schedule"])
        self.schedule.load_state_dict(state["schedule"])
        self.progress = Progress.from_state(state["progress"])
        if self.ema:
            self.ema.n_averaged.fill_(self.progress.step)
        if state["scaler"] and self.scaler.is_enabled():  # both runs are in float16
            self.scaler.load_state_dict(state["scaler"])
        self.runtime.set_random_state(state["random"])
