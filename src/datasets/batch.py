"""From samples to a batch."""

import torch
import torch.nn.functional as F  # noqa: N812


def collate(samples: list[dict]) -> dict:
    """Stack samples; images of different sizes are padded at the bottom and right, outside the region.

    Returns
    -------
    batch : dict
        `images` (N, 3, H, W), padded with 0 after normalisation; `points` (N, H, W); `counts` (N, K);
        `roi` (N, H, W), False in the padding; `meta`, a list of N dicts.
    """
    height = max(sample["images"].shape[-2] for sample in samples)
    width = max(sample["images"].shape[-1] for sample in samples)

    def stack(key: str) -> torch.Tensor:
        return torch.stack(
            [F.pad(s[key], (0, width - s[key].shape[-1], 0, height - s[key].shape[-2])) for s in samples]
        )

    return {
        **{key: stack(key) for key in ("images", "points", "roi")},
        "counts": torch.stack([sample["counts"] for sample in samples]),
        "meta": [sample["meta"] for sample in samples],
    }
