"""The experiments. Each group is a grid of settings; its comment says what it reaches, in how long, and on what data.

`python trainval.py -e GROUP ...` runs all experiments of a group, and `--set KEY=VALUE` replaces a setting.
"""

from src.experiments.haven import haven_utils as hu

# The optimizer of the paper's code. Haven takes a list as a choice, so the betas are a list with one choice.
PAPER_ADAM = {"optimizer": "adam", "lr": 1e-5, "betas": [[0.99, 0.999]], "weight_decay": 5e-4}
# torch's one-cycle schedule changes the first beta too.
LIGHT_ADAMW = {"optimizer": "adamw", "weight_decay": 1e-4, "schedule": {"name": "one_cycle"}}


def apart(weight: float) -> dict:
    """Return loss settings that keep neighbours apart: split lines of this weight that spare the clicks."""
    return {"spare_points": True, "divide_by_points": "batch", "term_weights": {"split_level": weight}}


ALL = {"train": "all", "val": "all"}


def model(base: str, pretrained: str | None = "imagenet", n_classes: int = 1, **options: object) -> dict:
    """Return the model section for an LCFCN with this base network."""
    return {"name": "lcfcn", "base": base, "n_classes": n_classes, "pretrained": pretrained, **options}


TRANCOS = {"name": "trancos", "transform": "rgb_normalize"}
# Cars seen from above have all directions and, depending on the height of the camera, many sizes.
SEEN_FROM_ABOVE = {"scale": [0.5, 1.25], "crop": 320, "hflip": True, "vflip": True, "jitter": 0.4}
SHANGHAI = {"name": "shanghai", "part": "B", "transform": "rgb_normalize"}

OWN = {
    "name": "points",
    "transform": "rgb_normalize",
    "zoom": "auto",
    "augment": {"scale": [0.75, 1.25], "crop": "auto", "hflip": True, "vflip": True, "jitter": 0.3},
}

EXP_GROUPS = {
    # The paper's recipe on TRANCOS (403 training and 420 validation images), for a GPU. It was not run to the end here,
    # so there is no score.
    "trancos": hu.cartesian_exp_group(
        {
            "dataset": TRANCOS,
            "model": model("fcn8_vgg16"),
            "batch_size": [1, 5, 10],
            "max_epoch": 100,
            "dataset_size": ALL,
            **PAPER_ADAM,
            "seed": 0,
        }
    ),
    # A quick check that everything works: one epoch of the paper's network on ten images. It takes 3.5 minutes on 2 CPU
    # cores, and reaches val_mae 18.4 on 5 validation images of aerial cars.
    "trancos_debug": hu.cartesian_exp_group(
        {
            "dataset": TRANCOS,
            "model": model("fcn8_vgg16"),
            "batch_size": 1,
            "max_epoch": 1,
            "dataset_size": {"train": 10, "val": 5},
            **PAPER_ADAM,
            "seed": 0,
        }
    ),
    # The paper's recipe on ShanghaiTech part B, for a GPU. It was not run to the end here, so there is no score.
    "shanghai": hu.cartesian_exp_group(
        {
            "dataset": SHANGHAI,
            "model": model("fcn8_vgg16"),
            "batch_size": 1,
            "max_epoch": 100,
            "dataset_size": ALL,
            **PAPER_ADAM,
            "seed": 0,
        }
    ),
    # Reaches val_mae 2.2 as the mean of the last five epochs, and 0.9 in the best epoch. The median count of the
    # training images has 13.4. It takes 3.5 minutes on one CPU core in bfloat16, with ImageNet weights, on 47 training
    # and 13 validation images of aerial cars in TRANCOS's layout. The validation images show another, denser place.
    "trancos_light": hu.cartesian_exp_group(
        {
            "dataset": {**TRANCOS, "augment": SEEN_FROM_ABOVE},
            "model": model("fpn_mobilenet_v2", freeze_batch_norm=False),
            "batch_size": 4,
            "repeats": 2,
            "max_epoch": 20,
            "dataset_size": ALL,
            **LIGHT_ADAMW,
            "lr": 1e-3,
            "heatmap_only": 0.1,
            "heatmap_weight": 0.2,
            "loss": apart(4),
            "decoding": "validation",
            "seed": 0,
        }
    ),
    # Reaches val_mae 8.7 in the last epoch. The median count of the training images has 60.7. It takes 114 minutes on
    # one CPU core in bfloat16, with ImageNet weights, on part B (360 training and 40 validation images). The ready
    # weights lcfcn/weights/shanghai_B.pth come from this group.
    "shanghai_light": hu.cartesian_exp_group(
        {
            "dataset": {
                **SHANGHAI,
                "zoom": 1.5,
                "augment": {"scale": [0.5, 1.1], "crop": 384, "hflip": True, "jitter": 0.3},
            },
            "model": model("fpn_mobilenet_v2", freeze_batch_norm=False),
            "batch_size": 4,
            "repeats": 7,
            "max_epoch": 18,
            "dataset_size": ALL,
            **LIGHT_ADAMW,
            "lr": 1e-3,
            "heatmap_only": 0.1,
            "heatmap_weight": 1.0,
            "ema_decay": 0.999,
            "flip_test": True,
            "loss": apart(2),
            "decoding": "validation",
            "seed": 0,
        }
    ),
    # Reaches val_mae 0.92. The median count of the training images has 2.58. It takes a minute on 2 CPU cores, from
    # scratch, on 400 training and 50 validation images that it draws itself.
    "demo": hu.cartesian_exp_group(
        {
            "dataset": {"name": "synthetic", "transform": "rgb_normalize", "augment": {"hflip": True, "vflip": True}},
            "model": model("fcn8_mobilenet_v2", pretrained=None, output_stride=4),
            "batch_size": 8,
            "max_epoch": 8,
            "dataset_size": ALL,
            **LIGHT_ADAMW,
            "lr": 1e-3,
            "seed": 0,
        }
    ),
    # For your own images, as scripts/import_points.py writes them, with one class. This recipe reached a test MAE of
    # 2.81 (mean of 3 draws of 50 training images, 13 to 25 minutes each on one CPU core in bfloat16, with ImageNet
    # weights) on the VGG cells: see docs/benchmarks.md. For several classes, give their number, and if you like
    # their names in the order of the scores: --set model.n_classes=2 "dataset.classes=['cell', 'debris']".
    "own": hu.cartesian_exp_group(
        {
            "dataset": OWN,
            "model": model("fpn_mobilenet_v2", freeze_batch_norm=False),
            "batch_size": 4,
            "repeats": "auto",
            "max_epoch": 20,
            "patience": 5,
            "dataset_size": ALL,
            **LIGHT_ADAMW,
            "lr": 1e-3,
            "heatmap_only": 0.1,
            "heatmap_weight": 0.2,
            "ema_decay": 0.999,
            "loss": apart(4),
            "decoding": "validation",
            "seed": 0,
        }
    ),
}
