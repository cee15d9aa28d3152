"""The score rows as curves for TensorBoard; imported only when asked for, since TensorBoard is slow to load."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
"""In an experiment's folder: the event files."""


class Curves:
    """Writes score rows as scalars named as the scores are, one step an epoch.

    A run that goes on writes all its rows again and has readers forget what was written before: so no epoch is there
    twice, and epochs that ran without TensorBoard are there too.

    Parameters
    ----------
    savedir : Path
        The experiment's folder.
    score_list : list of dict
        The rows of the epochs that are done.
    """

    def __init__(self, savedir: Path, score_list: list[dict]) -> None:
        self._writer = SummaryWriter(str(savedir / FOLDER), purge_step=0)
        for row in score_list:
            self.add(row)

    def add(self, row: dict) -> None:
        """Write one epoch's row, so that it can be seen at once."""
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()
