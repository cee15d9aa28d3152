"""Networks by name, and LCFCN, which trains and reads them."""

from src.models.bases import BASES, build_base
from src.models.lcfcn import LCFCN
from src.models.pretrained import ModelError

__all__ = ["BASES", "LCFCN", "ModelError", "build_base"]
