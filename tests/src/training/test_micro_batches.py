"""Parts of a batch give the gradients of the whole, whatever their number."""

import threading
from concurrent.futures import Executor, Future

import pytest
import torch

from lcfcn.errors import UserError
from lcfcn.heatmap import compute_heatmap_loss, start_heatmap_loss
from lcfcn.inputs import NonFiniteError
from lcfcn.lcfcn_loss import compute_lcfcn_loss, start_lcfcn_loss
from src.experiments.schema import with_defaults
from src.models import LCFCN
from src.training.micro_batches import InPlace, MicroBatches, part_of
from src.training.processes import Processes
from src.training.runtime import Runtime

SETTINGS = [
    {},
    {"heatmap_weight": 0.3, "heatmap_only": 0.5, "loss": {"divide_by_points": "batch", "spare_points": True}},
    {"loss": {"divide_by_points": True, "term_weights": {"split_level": 3}}},
]


def drawn(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, 3, 48, 64, generator=generator)
    points = torch.zeros(n, 48, 64, dtype=torch.int64)
    for i in range(n):
        where = torch.randint(0, 48 * 64, (i % 4 * 3,), generator=generator)  # some images have no click
        points[i].view(-1)[where] = 1
    meta = [{"index": i, "name": f"{i}.png", "path": f"in/{i}.png"} for i in range(n)]
    return {"images": images, "points": points, "roi": torch.ones(n, 48, 64, dtype=torch.bool), "meta": meta}


def network(micro_batches=None, frozen=True, **settings):
    model = {"name": "lcfcn", "base": "fpn_mobilenet_v2", "n_classes": 1, "pretrained": None}
    exp_dict = {
        "dataset": {"name": "synthetic", "transform": "rgb_normalize"},
        "model": {**model, "freeze_batch_norm": frozen},
        **{"batch_size": 5, "max_epoch": 1, "dataset_size": {"train": "all", "val": "all"}},
        **{"optimizer": "sgd", "lr": 1e-3, "seed": 0, **settings},
    }
    model = LCFCN(with_defaults(exp_dict), Runtime("cpu"), n_steps=2, micro_batches=micro_batches)
    model.model_base.train()
    return model


def gradients(model):
    return torch.cat([p.grad.flatten() for p in model.model_base.parameters() if p.grad is not None])


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("n_parts", [2, 3, 5, 9])
def test_any_number_of_parts_gives_the_same_gradients_and_terms(settings, n_parts):
    whole, cut = network(1, **settings), network(n_parts, **settings)
    for step in range(2):  # the heat map alone, and then beside the loss
        scores = [model.train_on_batch(drawn(5, step)) for model in (whole, cut)]
        assert scores[1] == pytest.approx(scores[0], rel=1e-5)
        torch.testing.assert_close(gradients(cut), gradients(whole), rtol=1e-4, atol=1e-6)
        for model in (whole, cut):
            model.progress.step += 1


def test_the_next_forward_pass_is_asked_for_before_the_weights_are_waited_for(monkeypatch):
    """The order that lets a GPU work on: f0 f1 b0 f2 b1 b2, where f is forward and b waits for the weights."""
    model, order = network(3), []
    forward, backward = LCFCN._training_logits, LCFCN._backward_part
    monkeypatch.setattr(LCFCN, "_training_logits", lambda self, part: order.append("f") or forward(self, part))
    monkeypatch.setattr(LCFCN, "_backward_part", lambda self, *a: order.append("b") or backward(self, *a))
    model.train_on_batch(drawn(6))
    assert "".join(order) == "ffbfbb"


def test_the_weights_are_found_in_another_thread(monkeypatch):
    names = []

    class Noting(Executor):
        def submit(self, work, /, *args):
            future = Future()
            thread = threading.Thread(target=lambda: names.append(threading.current_thread().name) or work(*args))
            thread.start()
            thread.join()
            future.set_result(work(*args))
            return future

    batch = drawn(3)
    logits = batch["images"][:, :1] * 4 - 2
    points = batch["points"]
    assert torch.equal(start_lcfcn_loss(logits, points, None, Noting())(), compute_lcfcn_loss(logits, points))
    assert torch.equal(start_heatmap_loss(logits, points, None, Noting())(), compute_heatmap_loss(logits, points))
    assert len(names) == 2
    assert "MainThread" not in names


def test_a_part_that_is_not_finite_is_named_and_no_step_is_taken():
    model = network(5)
    batch = drawn(5)
    batch["images"][3, 0, 0, 0] = torch.nan
    before = [p.detach().clone() for p in model.model_base.parameters()]
    with pytest.raises(UserError, match=r"not finite at image 3.png \(in/3.png\)"):
        model.train_on_batch(batch)
    assert all(torch.equal(a, b) for a, b in zip(before, model.model_base.parameters(), strict=True))


def test_by_default_a_cpu_has_one_part_and_a_gpu_some(monkeypatch):
    model, batch = network(), drawn(9)
    cut = model.micro_batches.cut
    assert cut(batch, model.model_base, model.runtime) == [batch]
    monkeypatch.setattr(Runtime, "is_cuda", True)
    parts = cut(batch, model.model_base, model.runtime)
    assert [len(part["images"]) for part in parts] == [3, 3, 3]  # at most four parts, and no odd ones
    assert len(cut(part_of(batch, slice(1)), model.model_base, model.runtime)) == 1
    model.model_base.freeze_batch_norm = False
    model.model_base.train()
    assert len(cut(batch, model.model_base, model.runtime)) == 1


def test_more_parts_are_refused_where_batch_norm_learns_or_several_processes_train():
    model = network(2, frozen=False)
    with pytest.raises(UserError, match="batch norm learns from whole batches; expected 1"):
        model.train_on_batch(drawn(4))
    alone = Runtime("cpu")
    alone.processes = Processes()
    alone.processes.world_size = 2
    with pytest.raises(UserError, match="several processes train together"):
        MicroBatches(2).cut(drawn(4), network(2).model_base, alone)


def test_in_place_keeps_errors_for_the_one_who_waits():
    future = InPlace().submit(compute_lcfcn_loss, torch.full((1, 1, 4, 4), torch.nan), torch.zeros(1, 4, 4))
    with pytest.raises(NonFiniteError):
        future.result()
