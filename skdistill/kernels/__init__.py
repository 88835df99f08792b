"""Kernels, the Nystroem map and small weighted kernel ridge solves."""

from .functions import KERNELS, Kernel, resolve_kernel

__all__ = ["KERNELS", "Kernel", "resolve_kernel"]
