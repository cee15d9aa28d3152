"""Open data sets by name. All give the same sample, see `src.datasets.base`."""

from lcfcn.counting.settings import is_whole
from src.datasets.base import PointDataset
from src.datasets.batch import collate
from src.datasets.points import Points
from src.datasets.shanghai import Shanghai
from src.datasets.synthetic import Synthetic
from src.datasets.trancos import Trancos
from src.readers.errors import DataError
from src.readers.layout import DATASET_NAMES, SPLITS

__all__ = ["DATASETS", "DataError", "PointDataset", "collate", "get_dataset", "open_split"]

DATASETS: dict[str, type[PointDataset]] = dict(zip(DATASET_NAMES, (Trancos, Shanghai, Synthetic, Points), strict=True))


def get_dataset(
    dataset_dict: dict,
    split: str,
    datadir: str | None,
    *,
    seed: int = 0,
    size: int | str = "all",
    augment: bool | None = None,
) -> PointDataset:
    """Open a split of a data set.

    Parameters
    ----------
    dataset_dict : dict
        `exp_dict['dataset']`: `name`, `transform`, `augment`, `zoom` and the options of this data set.
    split : 'train', 'val' or 'test'
    datadir : str or None
        Where the data is.
    seed : int
        The seed of the augmentation.
    size : int or 'all'
        Use only the first so many images.
    augment : bool, optional
        Whether to augment; by default for the split 'train' only.

    Raises
    ------
    DataError
        If a choice is unknown, or a file is missing.
    """
    if not isinstance(dataset_dict, dict):
        raise DataError(f"dataset is {dataset_dict!r}; expected a dict with name, transform and so on")
    options = dict(dataset_dict)
    name = options.pop("name", None)
    if not isinstance(name, str) or name not in DATASETS:
        raise DataError(f"dataset.name {name!r} is unknown: choose one of {', '.join(DATASETS)}")
    if split not in SPLITS:
        raise DataError(f"split {split!r} is unknown: choose one of {', '.join(SPLITS)}")
    if size != "all" and not is_whole(size, at_least=1):
        raise DataError(f"dataset_size.{split} is {size!r}; expected 'all' or a whole number of 1 or more")
    dataset_class = DATASETS[name]
    known = ("name", "transform", "augment", "zoom", *dataset_class.options)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise DataError(f"dataset.{unknown[0]} is unknown to {name}: known are {', '.join(known)}")
    augmented = split == "train" if augment is None else augment
    return dataset_class(split, datadir, augment_seed=seed, augmented=augmented, size=size, **options)


def open_split(exp_dict: dict, split: str, datadir: str | None, dataset_dict: dict | None = None) -> PointDataset:
    """Open a split with the data set, the seed and the number of images of an experiment.

    Parameters
    ----------
    exp_dict : dict
    split : 'train', 'val' or 'test'
    datadir : str or None
    dataset_dict : dict, optional
        Another `dataset` section than the experiment's.

    Raises
    ------
    DataError
        If a choice is unknown, or a file is missing.
    """
    size = exp_dict["dataset_size"].get(split, "all")
    return get_dataset(dataset_dict or exp_dict["dataset"], split, datadir, seed=exp_dict["seed"], size=size)
