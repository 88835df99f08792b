"""Networks trained on the real rows, kept as they were after each epoch: what students must match.

Experts are trained side by side, in the same batches, and differ by their starts. They are kept in
memory, or in a folder where another fit on the same data finds them. On a GPU they stay where
students need them at each step, if they fit; else they are fetched from the host or the folder.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ... import _torch as torch
from ..._device import fits, for_each_block
from ..._files import replacing
from ...batches.feed import Feed
from ...data.archive import Archive, open_regular
from ...networks import Architecture
from ...networks._architecture import Parameters
from ...networks._training import BLOCK_ROWS, Recipe, cross_entropy, descend
from ...networks.augmentation import Augmentation

STACK = 16  # experts trained side by side at most: the features of a batch are held for all of them
DIGITS = 16  # of the fingerprint, in the names of files
FORMAT = 2  # of the files; another number never finds them


def train_experts(
    architecture: Architecture,
    count: int,
    feed: Feed,
    recipe: Recipe,
    augment: Callable[[Any], Augmentation | None],
    generator: Any,
) -> list[Parameters]:
    """Train experts by stochastic gradient descent on real rows.

    Parameters
    ----------
    architecture : Architecture
    count : int
        Experts.
    feed : Feed
        Importances, if it has such, are taken anew before each epoch but the first, from the mean
        of the experts' outputs.
    recipe : Recipe
        An epoch has as many batches as the rows would fill.
    augment : callable
        Generator -> augmentation of the real rows, or None.
    generator : torch.Generator

    Returns
    -------
    list of dict of str to Tensor of shape (count, ...)
        Parameters at the start and after each epoch.

    Raises
    ------
    ValueError
        If training diverges.
    """
    params = architecture.initial(count, generator)
    velocity = {name: torch.zeros_like(p) for name, p in params.items()}
    feed, augmentation = feed.apart(generator), augment(generator)
    n_batches = -(-len(feed.data) // recipe.batch_size)
    epochs = [_copy(params)]

    def mean_outputs(rows: Any) -> Any:
        # No more memory than for a batch: a stack of networks sees few rows at a time.
        blocks = rows.split(max(1, BLOCK_ROWS // count))
        return torch.cat([architecture.outputs(params, block).mean(0) for block in blocks])

    for epoch in range(recipe.n_epochs):
        if epoch:
            feed.refresh(mean_outputs, 1.0)
        for number in range(n_batches):
            progress = (epoch + number / n_batches) / recipe.n_epochs
            batch, weight = feed.draw(recipe.batch_size, torch.float32, progress)
            rows = batch.rows
            if augmentation is not None:
                rows = augmentation(rows, augmentation.draw(len(rows)))
            descend(
                architecture,
                params,
                velocity,
                rows,
                batch.targets.argmax(1),
                weight * len(weight),  # sums with the weights of a batch are means
                cross_entropy,
                recipe,
                recipe.learning_rate,
            )
        epochs.append(_copy(params))
    if not all(bool(torch.isfinite(p).all()) for p in params.values()):
        raise ValueError(
            f"Experts diverged; use a smaller lr_teacher than {recipe.learning_rate!r}, or "
            "standardize=True."
        )
    return epochs


class Experts:
    """Trajectories of experts, by number and epoch.

    Parameters
    ----------
    count : int
    train : callable
        Number of the first expert and how many -> their parameters at the start and after each
        epoch, as of `train_experts`.
    folder : Path or None
        Where they are kept, one file an expert, and looked for before they are trained. None keeps
        them in memory.
    fingerprint : str
        Of all that they depend on except chance.
    example : dict of str to Tensor of shape (1, ...)
        Parameters of a network; device and type of what is returned.
    n_epochs : int
    """

    def __init__(
        self,
        count: int,
        train: Callable[[int, int], list[Parameters]],
        folder: Path | None,
        fingerprint: str,
        example: Parameters,
        n_epochs: int,
    ) -> None:
        self._folder, self._fingerprint, self._example = folder, fingerprint, example
        self._count, self._n_epochs = count, n_epochs
        self._device = next(iter(example.values())).device
        self._size = sum(p.numel() for p in example.values())
        self._near = near(4 * count * (n_epochs + 1) * self._size, self._device)
        self._held: dict[int, list[Parameters]] = {}
        missing = [k for k in range(count) if folder is None or not self._path(k).exists()]

        def work(start: int, stop: int) -> None:
            numbers = missing[start:stop]
            trained = train(numbers[0], len(numbers))
            for place, number in enumerate(numbers):
                self._keep(number, [_one(params, place) for params in trained])

        for number in set(range(count)) - set(missing):  # say that a file is of no use before work
            self._read(number, n_epochs)
        for_each_block(work, len(missing), STACK, what="experts")

    def at(self, number: int, epoch: int) -> Parameters:
        """Parameters (1, ...) of an expert after some epochs."""
        if number not in self._held:
            if not self._near:
                return self._read(number, epoch)
            self._held[number] = [self._read(number, t) for t in range(self._n_epochs + 1)]
        held = self._held[number][epoch]
        return {name: p.to(self._device, non_blocking=True) for name, p in held.items()}

    def _read(self, number: int, epoch: int) -> Parameters:
        """Parameters from the file of an expert."""
        path, size, name = self._path(number), self._size, str(epoch)
        try:
            with open_regular(path) as stream:
                archive = Archive(stream)
                header = archive.header(name)
                if header.shape != (size,) or header.dtype != np.float32:
                    raise ValueError(f"not {size} numbers of float32")
                flat, told = archive.read(name), str(archive.read(f"checksum {name}"))
        except (OSError, ValueError) as error:
            raise ValueError(_unusable(path, str(error))) from error
        if told != self._checksum(number, name, flat):
            raise ValueError(_unusable(path, f"epoch {epoch} has another checksum"))
        if not np.isfinite(flat).all():
            raise ValueError(_unusable(path, "not finite"))
        found, start = {}, 0
        for name, p in self._example.items():
            values = torch.from_numpy(flat[start : start + p.numel()])
            found[name] = values.reshape(p.shape).to(p)
            start += p.numel()
        return found

    def check_ways(self, span: int, rate: float) -> None:
        """Check that experts move in `span` epochs, from wherever a student may start.

        Parameters
        ----------
        span : int
            Epochs that a student is to catch up with.
        rate : float
            The experts' learning rate, for the message.

        Raises
        ------
        ValueError
            If the way of one is no longer than its parameters are rounded: distances are taken in
            units of it.
        """
        for number, epoch in product(range(self._count), range(self._n_epochs - span + 1)):
            start, end = _flat(self.at(number, epoch)), _flat(self.at(number, epoch + span))
            way, size = float((end - start).norm()), float(start.norm())
            if way <= torch.finfo(torch.float32).eps * size:
                # At usual rates it is the network that stands still: none of its units is active.
                advice = "a larger lr_teacher, such as 0.01"
                if rate >= 0.01:
                    advice = "standardize=True, another network, or another lr_teacher"
                raise ValueError(
                    f"lr_teacher={rate!r} of TrajectoryMatching moves an expert by {way:.1e} in "
                    f"{span} epochs, which is lost in the rounding of its parameters, of norm "
                    f"{size:.1e}: there is no way to follow. Use {advice}."
                )

    def _keep(self, number: int, epochs: list[Parameters]) -> None:
        if self._near:
            self._held[number] = epochs
        if self._folder is None:
            self._held[number] = epochs if self._near else [_on_host(part) for part in epochs]
            return
        flat: Any = {
            str(epoch): torch.cat([p.reshape(-1) for p in params.values()]).cpu().numpy()
            for epoch, params in enumerate(epochs)
        }
        sums: Any = {
            f"checksum {name}": self._checksum(number, name, p) for name, p in flat.items()
        }
        # Whoever finds the file finds all of it, also after an interruption.
        with _writing(self._folder), replacing(self._path(number)) as beside:
            np.savez(beside, **flat, **sums)

    def _checksum(self, number: int, epoch: str, flat: np.ndarray) -> str:
        """Digest of parameters and of whose they are: no file stands for that of another."""
        digest = hashlib.sha256(f"{self._fingerprint} {number} {epoch} ".encode())
        digest.update(np.ascontiguousarray(flat).data)
        return digest.hexdigest()

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"expert-{self._fingerprint}-{number:04d}.npz"


def open_folder(folder: Any) -> Path:
    """Make a folder unless it exists, and see that files can be written there.

    Raises
    ------
    ValueError
        If they cannot.
    """
    path = Path(folder)
    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    return path


def fingerprint(parts: list[Any]) -> str:
    """Digest of Tensors and of plain values by their text."""
    digest = hashlib.sha256(str(FORMAT).encode())
    for part in parts:
        if hasattr(part, "detach"):
            array = np.ascontiguousarray(part.detach().cpu().numpy())
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(array.data)
        else:
            digest.update(f"{part!r};".encode())
    return digest.hexdigest()[:DIGITS]


def near(n_bytes: int, device: Any) -> bool:
    """Whether experts are held where students need them: on a GPU that has room for all."""
    return device.type != "cpu" and fits(n_bytes, device)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn what the system says about a folder into a clear error."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"expert_folder={str(folder)!r} cannot be written to ({error}); name another folder, "
            "or use expert_folder=None, which keeps experts in memory."
        ) from error


def _unusable(path: Path, reason: str) -> str:
    return (
        f"The file {str(path)!r} of expert_folder holds no expert ({reason}); delete it, or name "
        "another folder."
    )


def _flat(params: Parameters) -> Any:
    """Parameters as one vector, in a type that squares of tiny numbers do not leave."""
    return torch.cat([p.reshape(-1) for p in params.values()]).double()


def _copy(params: Parameters) -> Parameters:
    return {name: p.detach().clone() for name, p in params.items()}


def _on_host(params: Parameters) -> Parameters:
    return {name: p.cpu() for name, p in params.items()}


def _one(params: Parameters, place: int) -> Parameters:
    return {name: p[place : place + 1] for name, p in params.items()}
