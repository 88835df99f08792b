"""Networks that a user defines as `torch.nn.Module`, run as stacks of parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _torch as torch
from ._architecture import Architecture, Parameters


class ModuleArchitecture(Architecture):
    """Stacked modules of a factory, run by `torch.func`.

    Modules are in evaluation mode, so that dropout is off; batch normalisation takes the statistics
    of the batch at hand, always.

    Parameters
    ----------
    factory : callable
        ``(input_shape, n_outputs) -> torch.nn.Module``, fresh at each call, on the CPU, its weights
        drawn from PyTorch's global generator (which is seeded for the call, and put back).
    input_shape : tuple of int
        ``(d,)`` of vectors or ``(channels, height, width)`` of images.
    n_outputs : int

    Raises
    ------
    TypeError
        If what the factory makes is no module.
    ValueError
        If the module does not give `n_outputs` outputs a row.
    """

    def __init__(self, factory: Callable, input_shape: tuple[int, ...], n_outputs: int) -> None:
        self.n_outputs = n_outputs
        self._factory = factory
        self._input_shape = input_shape
        self._module = self._make(0)
        self._check_outputs()
        self._buffers = dict(self._module.named_buffers())
        linear = [m for m in self._module.modules() if isinstance(m, torch.nn.Linear)]
        self._last = linear[-1] if linear else None

    def initial(self, count: int, generator: Any, dtype: Any = None) -> Parameters:
        """Draw fresh networks; see `Architecture`."""
        device = generator.device
        seeds = torch.randint(2**62, (count,), generator=generator, device=device)
        made = [dict(self._make(seed).named_parameters()) for seed in seeds.tolist()]
        return {
            name: torch.stack([params[name].detach() for params in made]).to(
                device=device, dtype=dtype
            )
            for name in made[0]
        }

    def features(self, params: Parameters, rows: Any) -> Any:
        """Input of the module's last linear layer; see `Architecture`."""
        if self._last is None:
            raise ValueError(
                f"network={self._factory!r} makes modules without a torch.nn.Linear layer; let "
                "such a layer give the outputs, so that its inputs are the features."
            )
        seen: list[Any] = []
        handle = self._last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

        def one(own: Parameters, x: Any) -> Any:
            self._call(own, x)
            return seen.pop().flatten(1)

        try:
            return self._stacked(one, params, rows)
        finally:
            handle.remove()

    def outputs(self, params: Parameters, rows: Any) -> Any:
        """Compute outputs of the module; see `Architecture`."""
        return self._stacked(self._call, params, rows)

    def _stacked(self, function: Callable, params: Parameters, rows: Any) -> Any:
        images = rows.reshape(*rows.shape[:-1], *self._input_shape)
        return torch.func.vmap(function, in_dims=(0, None if rows.ndim == 2 else 0))(params, images)

    def _call(self, own: Parameters, rows: Any) -> Any:
        buffers = {
            name: buffer.to(rows.device, rows.dtype if buffer.is_floating_point() else None)
            for name, buffer in self._buffers.items()
        }
        return torch.func.functional_call(self._module, {**own, **buffers}, (rows,))

    def _make(self, seed: int) -> Any:
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which would also seed the generators of all CUDA devices.
            torch.random.default_generator.manual_seed(seed)
            module = self._factory(self._input_shape, self.n_outputs)
        if not isinstance(module, torch.nn.Module):
            raise TypeError(
                f"network={self._factory!r} must make a torch.nn.Module, but made {module!r}."
            )
        return torch.func.replace_all_batch_norm_modules_(module.eval())

    def _check_outputs(self) -> None:
        with torch.no_grad():
            found = self._module(torch.zeros((2, *self._input_shape)))
        if tuple(found.shape) != (2, self.n_outputs):
            raise ValueError(
                f"network={self._factory!r} makes modules whose outputs for 2 rows have shape "
                f"{tuple(found.shape)}; it must be (2, {self.n_outputs}), the n_outputs that it "
                "is called with."
            )
