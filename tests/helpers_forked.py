"""What the server of forks of test_distributed.py does once: import all, and load the kernels of the loss."""

import lightning_fabric  # noqa: F401
import torch
import torch._dynamo

import src.experiments.folders
import src.experiments.prepare
import src.models
import src.training.run  # noqa: F401
import trainval  # noqa: F401
from lcfcn.blobs import get_blobs
from lcfcn.lcfcn_loss import compute_lcfcn_loss

torch.set_num_threads(1)  # a fork of a process with threads may hang
LOGITS = torch.zeros(1, 1, 16, 16)
LOGITS[..., 2:8, 2:14] = 2.0
POINTS = torch.zeros(1, 16, 16, dtype=torch.int64)
POINTS[:, 4, [4, 11]] = 1
compute_lcfcn_loss(LOGITS, POINTS)
get_blobs(LOGITS.sigmoid())
