"""LCFCN: a network of `lcfcn.networks` with its loss, its optimizer and its validation."""

from src.models.lcfcn import LCFCN

__all__ = ["LCFCN"]
