"""Optimizers, learning-rate schedules and averages of weights, all from torch."""

from collections.abc import Callable, Iterable

import torch
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lcfcn.errors import UserError

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


def make_optimizer(
    exp_dict: dict, parameters: Iterable[torch.nn.Parameter], *, fused: bool = False
) -> torch.optim.Optimizer:
    """Return the optimizer that `exp_dict` names, with its `lr` and options. An option that is None is left to torch.

    Raises
    ------
    UserError
        If the optimizer is unknown, does not have an option, or refuses the value of an option.
    """
    name = exp_dict["optimizer"]
    if not isinstance(name, str) or name not in OPTIMIZERS:
        raise UserError(f"optimizer {name!r} is unknown: choose one of {', '.join(OPTIMIZERS)}")
    known = sorted(set().union(*OPTIMIZER_OPTIONS.values()))
    options = {key: exp_dict[key] for key in known if exp_dict.get(key) is not None}
    unread = [key for key in options if key not in OPTIMIZER_OPTIONS[name]]
    if unread:
        raise UserError(f"optimizer {name!r} does not use {', '.join(unread)}: --set {unread[0]}=None")
    try:
        return OPTIMIZERS[name](parameters, lr=exp_dict["lr"], **options, **({"fused": True} if fused else {}))
    except (TypeError, ValueError, LookupError) as error:
        raise UserError(f"optimizer {name!r} refuses {options} ({error}): fix those values") from None


def make_schedule(exp_dict: dict, opt: torch.optim.Optimizer, n_steps: int) -> lr_scheduler.LRScheduler:
    """Return the learning-rate schedule of `exp_dict`, for a step after each batch. Without one the rate stays."""
    schedule = exp_dict.get("schedule")
    if schedule is None:
        return lr_scheduler.ConstantLR(opt, factor=1.0, total_iters=0)
    if not isinstance(schedule, dict) or schedule.get("name") not in tuple(SCHEDULES):
        raise UserError(
            f"schedule is {schedule!r}; expected None, or a dict whose name is one of {', '.join(SCHEDULES)}"
        )
    options = dict(schedule)
    name = options.pop("name")
    try:
        return SCHEDULES[name](opt, max(n_steps, 1), **options)
    except (TypeError, ValueError, LookupError) as error:
        raise UserError(f"schedule {name!r} refuses {options} ({error}): fix those values") from None


def check_planned(schedule: lr_scheduler.LRScheduler, state: dict) -> None:
    """Raise `UserError` if a schedule's state was planned for another number of steps, as with other images."""
    for name in ("total_steps", "T_max", "total_iters"):
        planned, before = getattr(schedule, name, None), state.get(name)
        if planned is not None and before is not None and planned != before:
            raise UserError(
                f"the run was planned for {before} steps, and the training images now make it {planned}; expected the "
                "images that it began with: give -d those, or start it again with -r 1"
            )


def make_average(network: torch.nn.Module, decay: float) -> AveragedModel:
    """Return a running average of a network's weights and of batch norm's statistics, to be updated after each step.

    Early in the training the average looks back less far, over about a tenth of the steps, because the first weights
    are of no use.
    """

    def update(averages: list[torch.Tensor], weights: list[torch.Tensor], n_averaged: torch.Tensor) -> None:
        # The average's own counter is on the host. The given one is on the device, and reading it would wait.
        n = int(average.n_averaged)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averages, weights, n_averaged)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    return average
