"""Write the scores as curves for TensorBoard. This module is imported only when asked for: TensorBoard loads slowly."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
"""The folder of the event files, in an experiment's folder."""


class Curves:
    """Writes each score as a curve of its name, with a step for each epoch.

    A run that resumes writes all its rows again, and makes readers forget the earlier ones. So no epoch is there twice,
    and epochs that ran without TensorBoard are there too.

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
        """Write one epoch's row, and flush it so that it can be seen at once."""
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()
