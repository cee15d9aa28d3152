import numpy as np
import torch
from helpers_data import (
    SYNTHETIC,
)

from src.datasets import PointDataset, collate, get_dataset
from src.datasets.base import Record


class Sizes(PointDataset):
    """Images of three sizes, white, two classes."""

    needs_datadir = False
    class_names = ("left", "right")

    def open(self):
        self.names = self.paths = ["a", "b", "c"]

    def read(self, index):
        height, width = ((5, 9), (8, 4), (6, 6))[index]
        clicks = np.array([[1.0, 1.0], [height - 1.0, width - 1.0]])
        return Record(
            np.full((height, width, 3), 255, np.uint8), clicks, np.array([1, 2]), np.ones((height, width)) > 0
        )


def test_collate_pads_at_the_bottom_and_right():
    samples = list(Sizes("val", None))
    batch = collate(samples)
    assert batch["images"].shape == (3, 3, 8, 9)
    assert batch["points"].shape == batch["roi"].shape == (3, 8, 9)
    assert batch["counts"].tolist() == [[1, 1]] * 3
    assert batch["points"].dtype == torch.int64
    assert batch["roi"].dtype == torch.bool
    assert [meta["name"] for meta in batch["meta"]] == ["a", "b", "c"]
    for number, sample in enumerate(samples):
        height, width = sample["roi"].shape
        for key in ("images", "points", "roi"):
            assert torch.equal(batch[key][number][..., :height, :width], sample[key])
            padding = torch.ones(8, 9, dtype=torch.bool)
            padding[:height, :width] = False
            assert (batch[key][number][..., padding] == 0).all()


def test_collate_of_one_and_of_equal_sizes():
    dataset = get_dataset(SYNTHETIC, "val", None, size=2)
    batch = collate([dataset[0], dataset[1]])
    assert torch.equal(batch["images"], torch.stack([dataset[0]["images"], dataset[1]["images"]]))
    assert collate([dataset[0]])["images"].shape == (1, 3, 160, 160)
