"""How far a run is, the running sums of its current epoch, and a stream for its progress bars."""

import contextlib
from dataclasses import asdict, dataclass, field

from tqdm.utils import ObjectWrapper


class Unminded(ObjectWrapper):
    """A stream for progress bars whose reader may go: that must not end a training."""

    def write(self, text: str) -> None:
        """Write, or not."""
        with contextlib.suppress(OSError):
            self._wrapped.write(text)

    def flush(self) -> None:
        """Flush, or not."""
        with contextlib.suppress(OSError):
            self._wrapped.flush()

    def __eq__(self, other: object) -> bool:  # tqdm clears the bars of a stream before it writes a line there
        return self._wrapped == getattr(other, "_wrapped", other)

    def __hash__(self) -> int:
        return hash(self._wrapped)


@dataclass
class Progress:
    """How far a run is. The checkpoint holds it.

    Attributes
    ----------
    epoch : int
        The current epoch, from 0. So many epochs are done.
    step : int
        Training steps taken since the start of the run, over all epochs.
    step_in_epoch : int
        Training steps taken in the current epoch.
    sums : dict
        Sums over this epoch's images: `n_images`, `seconds`, and each score times the number of its images.
    """

    epoch: int = 0
    step: int = 0
    step_in_epoch: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_state(cls, state: dict) -> "Progress":
        """Restore the progress from what `state` returned."""
        return cls(**{**state, "sums": dict(state["sums"])})

    def state(self) -> dict:
        """Return it as plain values, for a checkpoint."""
        return asdict(self)

    def add_step(self, scores: dict[str, float], n_images: int, seconds: float) -> None:
        """Count one training step, and add its scores, which are means over its images."""
        self.step += 1
        self.step_in_epoch += 1
        for key, value in {"n_images": 1, "seconds": seconds / n_images, **scores}.items():
            self.sums[key] = self.sums.get(key, 0.0) + value * n_images

    def mean(self, key: str) -> float:
        """Return the mean of a score over the images of this epoch so far."""
        return self.sums[key] / self.sums["n_images"]

    def epoch_scores(self) -> dict[str, float]:
        """Return the epoch's training scores: the means over its images, `train_seconds`, `images_per_second`."""
        seconds = self.sums["seconds"]
        return {
            **{key: self.mean(key) for key in self.sums if key.startswith("train_")},
            "train_seconds": seconds,
            "images_per_second": self.sums["n_images"] / max(seconds, 1e-9),
        }

    def start_next_epoch(self) -> None:
        """Forget the sums of the epoch that ended."""
        self.epoch += 1
        self.step_in_epoch = 0
        self.sums = {}
