from src.training.run import summary


def row(epoch, mae):
    return {
        **{"epoch": epoch, "train_loss": 12.34567, "val_mae": mae, "val_score": -mae},
        **{"images_per_second": 3.21, "train_seconds": 60.4, "val_seconds": 9.2},
    }


def test_an_epoch_is_one_line_with_the_best_so_far():
    rows = [row(0, 5.0), row(1, 4.0), row(2, 4.5)]
    assert summary(rows) == (
        "epoch   2  train_loss   12.3457  val_mae   4.500 (best 4.000 at epoch 1)  3.2 images/s  70 s"
    )
    assert "(best 5.000 at epoch 0)" in summary(rows[:1])


def test_without_a_finite_score_there_is_no_best():
    assert "val_mae     nan (no best yet)" in summary([row(0, float("nan"))])
