"""Optimizers and learning-rate schedules by name, all of them torch's."""

from collections.abc import Callable, Iterable

import torch
from torch.optim import lr_scheduler

from src.errors import UserError

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
OPTIMIZER_OPTIONS = {
    "adam": ("betas", "weight_decay"),
    "adamw": ("betas", "weight_decay"),
    "sgd": ("momentum", "weight_decay"),
}
SCHEDULES: dict[str, Callable] = {
    "cosine": lambda opt, n_steps, **kw: lr_scheduler.CosineAnnealingLR(opt, T_max=n_steps, **kw),
    "one_cycle": lambda opt, n_steps, **kw: lr_scheduler.OneCycleLR(
        opt, max_lr=[group["lr"] for group in opt.param_groups], total_steps=n_steps + 1, **kw
    ),
    "poly": lambda opt, n_steps, **kw: lr_scheduler.PolynomialLR(opt, total_iters=n_steps, **kw),
}


def make_optimizer(exp_dict: dict, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that `exp_dict` names, with its `lr` and options."""
    name = exp_dict["optimizer"]
    if name not in OPTIMIZERS:
        raise UserError(f"optimizer {name!r} is unknown: choose one of {', '.join(OPTIMIZERS)}")
    options = {key: exp_dict[key] for key in OPTIMIZER_OPTIONS[name] if key in exp_dict}
    return OPTIMIZERS[name](parameters, lr=exp_dict["lr"], **options)


def make_schedule(exp_dict: dict, opt: torch.optim.Optimizer, n_steps: int) -> lr_scheduler.LRScheduler:
    """The learning-rate schedule that `exp_dict` names, stepped after every batch; without one the rate stays."""
    options = dict(exp_dict.get("schedule") or {})
    if not options:
        return lr_scheduler.ConstantLR(opt, factor=1.0, total_iters=0)
    name = options.pop("name", None)
    if name not in SCHEDULES:
        raise UserError(f"schedule {name!r} is unknown: choose one of {', '.join(SCHEDULES)}, or None")
    try:
        return SCHEDULES[name](opt, max(n_steps, 1), **options)
    except TypeError as error:
        raise UserError(f"schedule {name!r} does not take the options {sorted(options)} ({error})") from None
