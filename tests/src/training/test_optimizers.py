import pytest
import torch

from lcfcn.errors import UserError
from src.training.optimizers import OPTIMIZERS, SCHEDULES, make_average, make_optimizer, make_schedule


def parameter():
    return torch.nn.Parameter(torch.ones(2))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_has_its_rate_and_the_options_that_are_given(name):
    options = {"weight_decay": 0.25, **({"momentum": 0.5} if name == "sgd" else {"betas": (0.5, 0.75)})}
    opt = make_optimizer({"optimizer": name, "lr": 0.125, **options}, [parameter()])
    assert type(opt) is OPTIMIZERS[name]
    (group,) = opt.param_groups
    assert {key: tuple(group[key]) if key == "betas" else group[key] for key in options} == options
    assert group["lr"] == 0.125
    plain = make_optimizer({"optimizer": name, "lr": 0.125, "betas": None, "momentum": None}, [parameter()])
    assert plain.defaults | {"lr": None} == OPTIMIZERS[name]([parameter()], lr=0.125).defaults | {"lr": None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "lion"}, "optimizer 'lion' is unknown: choose one of adam, adamw, sgd"),
        ({"optimizer": [1]}, r"optimizer \[1\] is unknown"),
        ({"momentum": 0.9}, "optimizer 'adam' does not use momentum: --set momentum=None"),
        ({"betas": 1}, "optimizer 'adam' refuses"),
        ({"betas": [0.9]}, "refuses"),
        ({"betas": {"a": 1}}, "refuses"),
        ({"weight_decay": -1}, "refuses"),
    ],
)
def test_a_wrong_optimizer_is_one_line(change, message):
    with pytest.raises(UserError, match=message) as error:
        make_optimizer({"optimizer": "adam", "lr": 0.1, **change}, [parameter()])
    assert "\n" not in str(error.value)


def rates(schedule, n_steps=10):
    opt = torch.optim.SGD([parameter()], lr=1.0)
    schedule = make_schedule({"schedule": schedule}, opt, n_steps)
    found = []
    for _ in range(n_steps):
        found.append(opt.param_groups[0]["lr"])
        opt.step()
        schedule.step()
    return found


def test_the_rate_follows_its_schedule():
    assert rates(None) == [1.0] * 10
    cosine, poly, one_cycle = (rates({"name": name}) for name in ("cosine", "poly", "one_cycle"))
    assert cosine == sorted(cosine, reverse=True)
    assert (cosine[0], cosine[5]) == (1, pytest.approx(0.5))
    assert poly == pytest.approx([1 - step / 10 for step in range(10)])
    assert max(one_cycle) == pytest.approx(1, abs=0.05)
    assert one_cycle[0] < 0.1 > one_cycle[-1]
    assert set(SCHEDULES) == {"cosine", "poly", "one_cycle"}


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("cosine", "schedule is 'cosine'; expected None, or a dict whose name is one of cosine, one_cycle, poly"),
        ({"name": "saw"}, "expected None, or a dict"),
        ({"name": "one_cycle", "pct_start": 2}, "schedule 'one_cycle' refuses"),
        ({"name": "poly", "colour": 1}, "schedule 'poly' refuses"),
    ],
)
def test_a_wrong_schedule_is_one_line(schedule, message):
    with pytest.raises(UserError, match=message):
        rates(schedule)


def test_an_average_looks_back_over_a_tenth_of_the_steps_at_first():
    network = torch.nn.Linear(1, 1, bias=False)
    average = make_average(network, decay=0.5)
    expected = None
    for step in range(20):
        network.weight.data.fill_(float(step**2))
        average.update_parameters(network)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = step**2 if step == 0 else kept * expected + (1 - kept) * step**2
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-6)
