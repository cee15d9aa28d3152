"""Trunks of timm (PyTorch Image Models). timm is imported only when one of them is built."""

import glob
from types import ModuleType

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lcfcn.errors import one_line
from lcfcn.networks.pretrained import WAYS_OUT, ModelError


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError:
        raise ModelError("this network needs timm, which is not installed: pip install 'lcfcn[timm]'") from None
    return timm


def make_trunk(name: str) -> nn.Module:
    """Return a trunk with random weights whose maps come from fine to coarse; raise `ModelError` if timm has none."""
    timm = _timm()
    if name not in (*timm.list_models(), *timm.list_models(pretrained=True)):
        # timm would take "hf-hub:..." and "local-dir:..." too. A file of weights must not reach out to other places.
        raise _no_trunk(name, "it lists no such model")
    try:
        return timm.create_model(name, features_only=True, pretrained=False)
    except (RuntimeError, AttributeError, TypeError, ValueError, AssertionError, OSError) as error:
        raise _no_trunk(name, one_line(error)[:200]) from None


def _no_trunk(name: str, reason: str) -> ModelError:
    """Return the error for a name that is no trunk, with some names that are near."""
    near = ", ".join(_timm().list_models(f"{glob.escape(name.split('_')[0])}*")[:8])
    return ModelError(
        f"timm has no trunk {name[:80]!r} that gives maps ({reason}): choose another"
        + (f", such as {near}" if near else "")
    )


def trunk_channels(name: str, trunk: nn.Module, used_strides: tuple[int, ...]) -> dict[int, int]:
    """Return the channels of the maps at these strides; raise `ModelError` if the trunk lacks one of them."""
    channels = dict(zip(trunk.feature_info.reduction(), trunk.feature_info.channels(), strict=True))
    missing = [str(stride) for stride in used_strides if stride not in channels]
    if missing:
        raise ModelError(
            f"timm's {name} has no map of stride {', '.join(missing)} (it has {', '.join(map(str, channels))}): "
            "choose another trunk, or another model.output_stride"
        )
    return {stride: channels[stride] for stride in used_strides}


def timm_maps(trunk: nn.Module, images: Tensor) -> dict[int, Tensor]:
    """Return a trunk's maps by stride. The images are padded to whole cells of the coarsest map.

    Without padding, some trunks ignore the last pixels, and others shift their cells.
    """
    strides = trunk.feature_info.reduction()
    height, width = images.shape[-2:]
    filled = F.pad(images, (0, -width % strides[-1], 0, -height % strides[-1]))
    return dict(zip(strides, trunk(filled), strict=True))


def timm_names(attribute: str, trunk: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn the names of a classifier's state dict into those of its trunk under an attribute.

    Tensors that the trunk lacks are left out. Some trunks say `stages_0` where their classifier says `stages.0`.
    """
    own = trunk.state_dict()
    found = {(name if name in own else name.replace(".", "_", 1)): value for name, value in state.items()}
    return {f"{attribute}.{name}": value for name, value in found.items() if name in own}


def download_trunk(name: str) -> dict[str, Tensor]:
    """Return timm's weights, from its cache or its server; raise `ModelError` if neither has them."""
    try:
        return _timm().create_model(name, features_only=True, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:  # no connection, or no such weights
        raise ModelError(
            f"timm's weights of {name} could not be fetched ({one_line(error)[:200]}): {WAYS_OUT}"
        ) from None
