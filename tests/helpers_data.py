"""Small data sets in the layouts of the real ones, with every click known."""

import numpy as np
import scipy.io
from PIL import Image


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
