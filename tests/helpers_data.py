"""Small data sets in the layouts of the real ones, with every click known."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from lcfcn.counting.image_files import ImageError
from lcfcn.errors import UserError
from src.datasets import DataError, get_dataset

ROOT = Path(__file__).parents[1]
"""The top folder of the project."""
TRANCOS = {"name": "trancos", "transform": "rgb_normalize"}
SHANGHAI_B = {"name": "shanghai", "part": "B", "transform": "rgb_normalize"}
SYNTHETIC = {"name": "synthetic"}


def noise_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(1, 256, size=(height, width, 3), dtype=np.uint8)


def add_trancos_image(root, name, pixels, roi, image=None):
    """`pixels` are rows and columns from 0; the files are `name`.jpg and those beside it."""
    folder = root / "images"
    folder.mkdir(parents=True, exist_ok=True)
    height, width = roi.shape
    Image.fromarray(noise_image(height, width) if image is None else image).save(folder / f"{name}.jpg", quality=95)
    dots = np.zeros((height, width, 3), dtype=np.uint8)
    for row, col in pixels:
        dots[row, col] = (255, 0, 0)
    Image.fromarray(dots).save(folder / f"{name}dots.png")
    scipy.io.savemat(folder / f"{name}mask.mat", {"BW": roi.astype(np.uint8)})
    (folder / f"{name}.txt").write_text("".join(f"{col + 1}\t{row + 1}\n" for row, col in pixels))


def make_trancos(root, clicks=((3, 4), (10, 20), (0, 0)), size=(24, 32)):
    """Two training images and one for validation and testing; the region is rows 2 to 19 and columns 3 to 30."""
    roi = np.zeros(size, dtype=bool)
    roi[2:20, 3:31] = True
    names = {"training": ["image-1-000001", "image-1-000002"], "validation": ["image-1-000003"]}
    names["test"] = ["image-1-000004"]
    (root / "image_sets").mkdir(parents=True)
    for split, members in names.items():
        (root / "image_sets" / f"{split}.txt").write_text("".join(f"{name}.jpg\n" for name in members))
        for name in members:
            add_trancos_image(root, name, clicks, roi)
    return root


def save_heads(path, xy, n=None):
    """A ground truth as ShanghaiTech writes it."""
    info = np.empty((1, 1), dtype=[("location", object), ("number", object)])
    info[0, 0] = (np.array(xy, dtype=float).reshape(-1, 2), np.array([[len(xy) if n is None else n]]))
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = info
    scipy.io.savemat(path, {"image_info": cell})


def make_shanghai(
    part, numbers=(1, 5, 9, 10, 11, 100), xy=((3.7, 5.2), (10.0, 8.9)), size=(16, 20), truth="ground-truth"
):
    """A part's folder, with the same images for training and testing."""
    for half in ("train_data", "test_data"):
        (part / half / "images").mkdir(parents=True)
        (part / half / truth).mkdir()
        for number in numbers:
            Image.fromarray(noise_image(*size, seed=number)).save(part / half / "images" / f"IMG_{number}.jpg")
            save_heads(part / half / truth / f"GT_IMG_{number}.mat", xy)
    return part


def labelled_xy(clicks):
    """x, y and class of each click of an image, without the sizes."""
    return [click[:3] for click in clicks.xy]


def refused(dataset_dict, datadir, split="train", **options):
    """The one line of an error of the constructor."""
    with pytest.raises(UserError) as error:
        get_dataset(dataset_dict, split, datadir, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def damaged(dataset, index=0):
    """The one line of a DataError or ImageError of decoding one image."""
    with pytest.raises((DataError, ImageError)) as error:
        dataset[index]
    assert "\n" not in str(error.value)
    return str(error.value)


def check_contract(sample, n_classes):
    images, points, counts, roi, meta = (sample[key] for key in ("images", "points", "counts", "roi", "meta"))
    assert set(sample) == {"images", "points", "counts", "roi", "meta"}
    height, width = roi.shape
    assert (images.shape, images.dtype) == ((3, height, width), torch.float32)
    assert (points.shape, points.dtype) == ((height, width), torch.int64)
    assert (counts.shape, counts.dtype) == ((n_classes,), torch.int64)
    assert roi.dtype == torch.bool
    assert type(images) is type(points) is type(roi) is type(meta["point_list"]) is torch.Tensor
    assert set(meta) == {"index", "name", "path", "size", "point_list", "labels"}
    assert meta["point_list"].shape == (counts.sum(), 2)
    assert (meta["point_list"].dtype, meta["labels"].dtype) == (torch.float32, torch.int64)
    rows, cols = meta["point_list"].long().T
    assert torch.equal(points[rows, cols] > 0, torch.ones_like(rows, dtype=torch.bool))
    assert len(points.nonzero()) == len(set(zip(rows.tolist(), cols.tolist(), strict=True)))
    assert roi[points > 0].all()
