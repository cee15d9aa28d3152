"""Put samples together into a batch."""

import torch
import torch.nn.functional as F  # noqa: N812

PADDED = ("images", "points", "roi")


def collate(samples: list[dict]) -> dict:
    """Stack samples. Images of different sizes are padded at the bottom and right, outside the region.

    Returns
    -------
    batch : dict
        `images` (N, 3, H, W), padded with 0 after normalisation; `points` (N, H, W); `counts` (N, K);
        `roi` (N, H, W), False in the padding; `meta`, a list of N dicts.
    """
    height = max(sample["images"].shape[-2] for sample in samples)
    width = max(sample["images"].shape[-1] for sample in samples)
    padded = [pad(sample, height, width) for sample in samples]
    return {
        **{key: torch.stack([sample[key] for sample in padded]) for key in PADDED},
        "counts": torch.stack([sample["counts"] for sample in samples]),
        "meta": [sample["meta"] for sample in samples],
    }


def pad(sample: dict, height: int, width: int) -> dict:
    """Return the maps of a sample or a batch, padded at the bottom and right to (..., height, width)."""
    maps = {key: sample[key] for key in PADDED}
    return {key: F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2])) for key, x in maps.items()}


def image_names(batch: dict) -> list[str]:
    """Return the names of a batch's images with their paths, for messages."""
    return [f"{meta['name']} ({meta['path']})" for meta in batch["meta"]]
