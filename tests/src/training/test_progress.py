import pytest

from src.training.progress import Progress


def test_scores_of_an_epoch_are_means_over_its_images():
    progress = Progress()
    progress.add_step({"train_loss": 6.0, "train_heatmap": 1.0}, n_images=4, seconds=2.0)
    progress.add_step({"train_loss": 3.0, "train_heatmap": 4.0}, n_images=2, seconds=1.0)
    assert (progress.epoch, progress.step, progress.step_in_epoch) == (0, 2, 2)
    assert progress.mean("train_loss") == pytest.approx(5)
    assert progress.epoch_scores() == pytest.approx(
        {"train_loss": 5, "train_heatmap": 2, "train_seconds": 3, "images_per_second": 2}
    )


def test_a_term_that_comes_later_is_a_mean_over_all_images():
    """As where the heat map alone is learned at first: its share of the epoch's loss adds up."""
    progress = Progress()
    progress.add_step({"train_loss": 2.0, "train_heatmap": 2.0}, n_images=2, seconds=1.0)
    progress.add_step({"train_loss": 6.0, "train_point_level": 6.0}, n_images=2, seconds=1.0)
    scores = progress.epoch_scores()
    assert scores["train_loss"] == scores["train_heatmap"] + scores["train_point_level"] == 4


def test_the_next_epoch_begins_with_nothing_but_its_number_and_the_steps():
    progress = Progress()
    progress.add_step({"train_loss": 6.0}, n_images=4, seconds=2.0)
    progress.start_next_epoch()
    assert progress == Progress(epoch=1, step=1, step_in_epoch=0, sums={})


def test_it_is_restored_from_plain_values():
    progress = Progress()
    progress.add_step({"train_loss": 6.0}, n_images=4, seconds=2.0)
    state = progress.state()
    assert state == {
        "epoch": 0,
        "step": 1,
        "step_in_epoch": 1,
        "sums": {"n_images": 4, "seconds": 2.0, "train_loss": 24.0},
    }
    restored = Progress.from_state(state)
    assert restored == progress
    restored.add_step({"train_loss": 6.0}, n_images=4, seconds=2.0)
    assert state["sums"]["n_images"] == 4  # the checkpoint's own sums stay
