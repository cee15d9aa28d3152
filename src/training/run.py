"""The run of an experiment in its folder: scores, checkpoints, pictures, curves, and the line for each epoch."""

from collections.abc import Callable
from pathlib import Path

from src.datasets import collate
from src.datasets.base import PointDataset
from src.models import LCFCN
from src.training import checkpoints
from src.training.data_changes import DATA, describe

N_PICTURES = 3


class Run:
    """One experiment's run in its folder.

    Parameters
    ----------
    exp_dict : dict
        The experiment with all its settings.
    savedir : Path
        Its folder.
    model : LCFCN
    datasets : dict of PointDataset
        By split. The first images of `val` are drawn after each best epoch.
    tensorboard : bool
        Whether to write the scores for TensorBoard too.

    Attributes
    ----------
    score_list : list of dict
        A row for each epoch that is done.
    """

    def __init__(
        self,
        exp_dict: dict,
        savedir: Path,
        model: LCFCN,
        datasets: dict[str, PointDataset],
        *,
        tensorboard: bool = False,
    ) -> None:
        self.exp_dict = exp_dict
        self.savedir = savedir
        self.model = model
        self.processes = model.runtime.processes
        val_set = datasets["val"]
        self.about_data = {"class_names": val_set.class_names, DATA: describe(datasets)}
        self.score_list: list[dict] = []
        with self.processes.together():
            self._pictured = [collate([val_set[i]]) for i in range(min(N_PICTURES, len(val_set)))]
            self._resume()
        self.processes.check_alike(
            [model.progress.epoch, model.progress.step_in_epoch],
            f"the processes do not find the same checkpoint in {savedir}: choose an -sb that all nodes share",
        )
        self._show = self._open_curves() if tensorboard and self.processes.is_main else None

    @property
    def is_over(self) -> bool:
        """Whether the last epoch is done, or the patience is over."""
        return len(self.score_list) >= self.exp_dict["max_epoch"] or checkpoints.stopped_early(self.score_list)

    def _resume(self) -> None:
        """Restore the last checkpoint, if there is one."""
        path = checkpoints.last_of(self.savedir)
        if path is None:
            return
        state = checkpoints.load_run(path)
        self.model.load_state_dict(state)
        self.model.take_up_decoding(state["exp_dict"])
        self.score_list = state["score_list"]
        if self.processes.is_main:
            # The run may have been killed between writing the two files.
            checkpoints.save_pickle(self.savedir / checkpoints.SCORES, self.score_list)
        epoch, step = self.model.progress.epoch, self.model.progress.step_in_epoch
        print(f"Resumed in epoch {epoch}, after {step} of its steps" if step else f"Resumed after epoch {epoch - 1}")

    def _open_curves(self) -> Callable[[dict], None]:
        from src.training.curves import Curves  # TensorBoard is slow to import

        return Curves(self.savedir, self.score_list).add

    def save_last(self) -> None:
        """Save what a run resumes from, in the middle of an epoch."""
        self._save(checkpoints.save_last)

    def _save(self, write: Callable[..., object]) -> None:
        state = {**self.model.get_state_dict(), **self.about_data}
        with self.processes.together():
            if self.processes.is_main:
                write(self.savedir, state, self.score_list, self.model.with_decoding(self.exp_dict))

    def end_of_epoch(self, scores: dict[str, float]) -> None:
        """Add the scores of an epoch, draw pictures if it is the best so far, save, and print a line."""
        row = {"epoch": self.model.progress.epoch, **scores, "peak_memory_gib": self.model.runtime.peak_memory()}
        self.score_list.append(row)
        patience = self.exp_dict["patience"]
        if checkpoints.is_patience_over(self.score_list, patience):
            row["stopped_early"] = True
        self.model.progress.start_next_epoch()
        with self.processes.together():
            if self.processes.is_main and checkpoints.is_best(self.score_list):
                self.model.vis_on_loader(self._pictured, self.savedir / "images")
        self._save(checkpoints.save_epoch)
        if self._show:
            self._show(row)
        print(summary(self.score_list), flush=True)
        if checkpoints.stopped_early(self.score_list):
            print(f"Stopped: val_mae has not improved for {patience} epochs", flush=True)


def summary(score_list: list[dict]) -> str:
    """Return the scores of the last epoch on one line."""
    row, best = score_list[-1], checkpoints.best_row(score_list)
    best_text = f"best {best['val_mae']:.3f} at epoch {best['epoch']}" if best else "no best yet"
    return (
        f"epoch {row['epoch']:3d}  train_loss {row['train_loss']:9.4f}  val_mae {row['val_mae']:7.3f} ({best_text})  "
        f"{row['images_per_second']:.1f} images/s  {row['train_seconds'] + row['val_seconds']:.0f} s"
    )
