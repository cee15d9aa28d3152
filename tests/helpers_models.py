"""Networks whose answer is given, and samples with known clicks."""

import numpy as np
import torch

from exp_configs import EXP_GROUPS
from src.models import LCFCN
from src.models.validation import score_batch
from src.training.runtime import Runtime

EXP_DICT = EXP_GROUPS["demo"][0]


class Oracle(torch.nn.Module):
    """A network whose answer is given."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        return self.logits.expand(len(images), -1, -1, -1)


def sample(clicks, size=32, n_classes=1):
    """Clicks are (row, col, class)."""
    point_list = torch.tensor([[r + 0.5, c + 0.5] for r, c, _ in clicks])
    labels = torch.tensor([k for *_, k in clicks], dtype=torch.int64)
    points = torch.zeros((size, size), dtype=torch.int64)
    for row, col, label in clicks:
        points[row, col] = label
    return {
        "images": torch.zeros((3, size, size)),
        "points": points,
        "counts": torch.bincount(labels, minlength=n_classes + 1)[1:],
        "roi": torch.ones((size, size), dtype=torch.bool),
        "meta": {"index": 0, "name": "made.png", "path": "made.png", "point_list": point_list, "labels": labels},
    }


def model_that_says(logits, n_classes=1):
    model = LCFCN({**EXP_DICT, "model": {**EXP_DICT["model"], "n_classes": n_classes}}, Runtime("cpu"))
    model.model_base = Oracle(logits)
    return model


def count_errors(model, batch):
    errors, _ = score_batch(model.predict_probs(batch), batch, model.decoding)
    return np.array(errors).tolist()


def squares(corners, size=32):
    logits = torch.full((1, size, size), -5.0)
    for row, col in corners:
        logits[0, row : row + 3, col : col + 3] = 5
    return logits
