r"""Rows on which a network goes the way that experts went on the real rows.

An expert is a network trained on the real rows; :math:`\theta^*_t` are its parameters after t
epochs. A student starts from those of a random expert after a random number of epochs
:math:`t < T^+`, and makes N steps of gradient descent on the m learnt rows S, augmented, with the
learnt step size :math:`\alpha`. The loss is its distance to the expert M epochs later, in units of
the way that the expert has gone (Cazenavette et al., 2022, equation 2):

.. math::
    \hat\theta_0 = \theta^*_t, \qquad
    \hat\theta_{n+1} = \hat\theta_n - \alpha \nabla \ell(A_n S; \hat\theta_n), \qquad
    L(S, \alpha) = \frac{\|\hat\theta_N - \theta^*_{t+M}\|^2}{\|\theta^*_t - \theta^*_{t+M}\|^2} .

The gradient goes back through the N steps; see `_networks/students.py`.
"""

from __future__ import annotations

from operator import index
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from .. import _torch as torch
from ..batches.feed import PROBED_ROWS
from ..batches.training_set import Sample
from ..networks._architecture import Parameters
from ..networks._training import Recipe
from ..networks.augmentation import draw_seed, make_augmentation, resolve_strategy
from ..support import Support
from ._networks.experts import Experts, fingerprint, open_folder, train_experts
from ._networks.student_technique import StudentTechnique
from ._networks.students import Plan, RelativeDistance
from .context import Context, Stage

STEPS = 1000
BATCH_SIZE = 256  # real rows in a step of the experts
GROWTH = 0.5  # of the steps, in which the range of epochs reaches its end
COUNTS = {
    "n_experts": 1,
    "expert_epochs": 1,
    "max_start_epoch": 1,
    "syn_steps": 1,
    "batch_syn": 1,
}  # the least


class TrajectoryMatching(StudentTechnique):
    r"""Match the parameters of networks trained on the real rows (MTT).

    Parameters
    ----------
    network : {"auto", "mlp", "convnet"}, network object or callable, default="auto"
        The network of experts and students: "auto" is :class:`~skdistill.networks.ConvNet` for
        images (see `image_shape` of the distiller) and :class:`~skdistill.networks.MLP` for
        vectors; or a function ``(input_shape, n_outputs) -> torch.nn.Module``.

    augment : {"auto"}, str or None, default="auto"
        Augmentation of the images that experts and students are trained on: names of "color",
        "crop", "cutout", "flip", "scale" and "rotate" joined by "_". "auto" takes all of them,
        without "flip" for images of one channel, and leaves vectors as they are.

    n_experts : int, default=20
        Experts. The paper trains 200.

    expert_epochs : int, default=2
        Epochs of an expert that the student is to catch up with, M.

    max_start_epoch : int, default=2
        A student starts from an expert that was trained for fewer epochs than these, :math:`T^+`.
        Experts are trained for ``max_start_epoch + expert_epochs - 1`` epochs.

    syn_steps : int, default=50
        Steps of a student on the learnt rows, N.

    batch_syn : int or None, default=None
        Learnt rows in a step of a student. None takes all.

    lr_teacher : float, default=0.01
        Step size of the experts' stochastic gradient descent, without momentum. One so small that
        an expert hardly moves in `expert_epochs` epochs is an error: the loss is in units of that.

    lr_init : float, default=0.01
        Step size of the students at the start.

    learn_lr : bool, default=True
        Learn the students' step size (its logarithm, so that it stays positive). What training
        makes of `lr_init` is ``distiller.objective_.lr_init``.

    expert_folder : str, path or None, default=None
        Where experts are kept: one npz file each, read when it is needed, on a GPU that has room
        for all of them once. A later fit whose rows,
        weights, network and training of the experts are the same uses the files it finds, whatever
        its seed, and trains only what is missing. None keeps experts in memory.

    recompute : bool or "auto", default="auto"
        Make each step of a student anew when the gradient goes back through it, instead of keeping
        its activations: memory for `syn_steps` copies of the parameters and the activations of one
        step, for about a third more time. "auto" keeps the activations of as many steps as
        fit into 1 GiB, on a GPU into half of its free memory. False keeps those of all steps.

    difficulty : None, "growing" or pair of int, default=None
        Which of the epochs before `max_start_epoch` students start from. None draws from all of
        them in all steps. A pair is the least one, :math:`T^-`, and how many epochs the first step
        draws from: in the first half of the steps the range grows to `max_start_epoch`. "growing"
        starts with half of the epochs, from 0 on. What experts learn late is harder, and helps only
        where there are enough learnt rows to hold it (DATM).

    Notes
    -----
    The defaults are the published ones for CIFAR-10 with one row a class, those of the paper and
    its code, for `expert_epochs`, `max_start_epoch`, `syn_steps`, `batch_syn`, `lr_teacher`,
    `lr_init`, `learn_lr`, `augment` (but for "flip", above), 256 real rows in a step of an expert,
    and experts without momentum or weight decay. For more rows a class the authors have more start
    epochs (20 for 10 rows a class, 40 for 50) and 30 steps. The rest is ours: `n_experts` (200 in
    the paper), 1,000 steps of the distiller (5,000 in their code), experts that are trained no
    longer than they are needed (50 epochs), units of features in place of ZCA whitening, and Adam,
    with rows and step size at rates in proportion to the distiller's `learning_rate`, in place of
    gradient descent with momentum at rates of their own (100 for pixels and 1e-7 for the step
    size). How the two compare in score was not measured. Experts that are trained side by side see
    the same batches, and differ by their starts.

    DATM also learns soft labels, which start from the outputs of an expert, and its range grows in
    a number of steps of its own; CIFAR-10 with 1, 10 and 50 images a class: 46.9, 66.8 and 76.1 %.
    PAD trains experts on easy images first: here `batch_sampling` and `batch_loss` of the distiller
    say which rows they see.

    The real rows train the experts and nothing else. Batches of `batch_size` rows (256 if that is
    "auto") are drawn by importance where the distiller's `batch_sampling` asks for it: by the
    losses of the experts themselves, taken anew before each epoch but the first. Steps of the
    distiller use no real rows. Classes count alike, whatever their weight, unless `class_balance`
    is False. Labels stay those of the start, one class a row. Nothing is held out: the last rows
    are kept.

    Experts are trained up to 16 side by side, or as many as the memory of the device takes. What
    ``DistilledClassifier(estimator=None)`` trains in the end is, as in the paper, a
    :class:`~skdistill.networks.NetworkClassifier` with the same `network` and `augment` and with
    the learnt step size.

    References
    ----------
    .. [1] G. Cazenavette, T. Wang, A. Torralba, A. A. Efros, J.-Y. Zhu. "Dataset Distillation by
       Matching Training Trajectories". CVPR 2022.
    .. [2] Z. Guo, K. Wang, G. Cazenavette, H. Li, K. Zhang, Y. You. "Towards Lossless Dataset
       Distillation via Difficulty-Aligned Trajectory Matching". ICLR 2024.

    Examples
    --------
    >>> from skdistill.networks import ConvNet
    >>> from skdistill.objectives import TrajectoryMatching
    >>> TrajectoryMatching(network=ConvNet(width=32), n_experts=10)
    TrajectoryMatching(n_experts=10, network=ConvNet(width=32))
    """

    _folder: Path | None
    _experts: Experts

    def __init__(
        self,
        network: Any = "auto",
        augment: str | None = "auto",
        n_experts: int = 20,
        expert_epochs: int = 2,
        max_start_epoch: int = 2,
        syn_steps: int = 50,
        batch_syn: int | None = None,
        lr_teacher: float = 0.01,
        lr_init: float = 0.01,
        learn_lr: bool = True,
        expert_folder: Any = None,
        recompute: bool | str = "auto",
        difficulty: str | tuple[int, int] | None = None,
    ) -> None:
        self.network = network
        self.augment = augment
        self.n_experts = n_experts
        self.expert_epochs = expert_epochs
        self.max_start_epoch = max_start_epoch
        self.syn_steps = syn_steps
        self.batch_syn = batch_syn
        self.lr_teacher = lr_teacher
        self.lr_init = lr_init
        self.learn_lr = learn_lr
        self.expert_folder = expert_folder
        self.recompute = recompute
        self.difficulty = difficulty

    def setup(self, context: Context) -> None:
        """Check the parameters; see `Objective.setup`."""
        super().setup(context)
        self._check_integers(COUNTS, or_none=("batch_syn",))
        self._check_positive("lr_teacher", "lr_init")
        self._lowest, self._first = self._resolve_difficulty()
        self._done, self._n_steps = 0, 1  # steps so far, and of all training
        self._folder = None if self.expert_folder is None else open_folder(self.expert_folder)

    def stages(self, max_iter: int | None) -> list[Stage]:
        """One stage; see `Objective.stages`."""
        n_steps = STEPS if max_iter is None else max_iter
        stage = Stage("match", n_steps, None, torch.float32, max(1, min(100, n_steps // 12)))
        return [stage] if n_steps else []  # without steps no expert is needed

    def begin(self, stage: Stage, support: Support, sample: Sample) -> Support:
        """Train the experts or find them; see `Objective.begin`."""
        context, feed = self._context, sample.feed
        self._done, self._n_steps = 0, max(1, stage.n_steps)
        n_epochs = int(self.max_start_epoch + self.expert_epochs - 1)
        size = int(context.batch_size or BATCH_SIZE)
        # Plain numbers: those of NumPy have another text, by which files are found.
        recipe = Recipe(
            n_epochs, float(self.lr_teacher), momentum=0, weight_decay=0, batch_size=size
        )
        device, seed = context.generator.device, draw_seed(context.generator)

        def train(first: int, count: int) -> list[Parameters]:
            # Generators of their own: a fit that finds its experts goes on with the same numbers.
            return train_experts(
                self._mixed,
                count,
                feed,
                recipe,
                lambda g: make_augmentation(self.augment, context.image_shape, g),
                torch.Generator(device=device).manual_seed(seed + first),
            )

        example = self._architecture.initial(1, torch.Generator(device=device).manual_seed(0))
        known = ""
        if self._folder is not None:
            shapes = {name: tuple(p.shape) for name, p in example.items()}
            strategy = resolve_strategy(self.augment, context.image_shape)
            described = [_describe(self.network), shapes, recipe, strategy, context.image_shape]
            known = fingerprint([*described, self._probed(feed.data.rows), *feed.fingerprint()])
        self._experts = Experts(self.n_experts, train, self._folder, known, example, n_epochs)
        self._experts.check_ways(int(self.expert_epochs), float(self.lr_teacher))
        return support.to(stage.dtype)

    def _plan(self, support: Support, batch: Any = None, weights: Any = None) -> Plan:
        """Draw an expert, an epoch, and the batches and augmentations of a student."""
        expert = int(torch.randint(self.n_experts, (1,), generator=self._random))
        low, high = self._range()
        epoch = low + int(torch.randint(high - low, (1,), generator=self._random))
        start, target = (
            {name: p.to(support.rows.dtype) for name, p in self._experts.at(expert, t).items()}
            for t in (epoch, epoch + self.expert_epochs)
        )
        steps = self._draw_steps(support, self.syn_steps)
        return Plan(start, steps, RelativeDistance(start, target))

    def after_step(self, support: Support) -> None:
        """Count steps, by which the range of epochs grows; see `Objective.after_step`."""
        self._done += 1

    def _range(self) -> tuple[int, int]:
        """Least epoch that a student starts from now, and the first one that is too late."""
        share = min(1.0, self._done / (GROWTH * self._n_steps))
        high = self._first + share * (self.max_start_epoch - self._first)
        return self._lowest, int(high)

    def _resolve_difficulty(self) -> tuple[int, int]:
        """Least epoch, and the first one that is too late at the first step."""
        most = int(self.max_start_epoch)
        if self.difficulty is None:
            return 0, most
        if isinstance(self.difficulty, str) and self.difficulty == "growing":
            return 0, (most + 1) // 2
        try:
            lowest, first = map(index, self.difficulty)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            lowest, first = -1, -1
        if not 0 <= lowest < first <= most:
            raise ValueError(
                f"difficulty={self.difficulty!r} of TrajectoryMatching must be None, 'growing' or "
                "two integers, the least epoch and a larger one, up to "
                f"max_start_epoch={self.max_start_epoch!r}, below which the first step draws."
            )
        return lowest, first

    def _probed(self, rows: Any) -> Any:
        """Compute what tells apart networks of one name: outputs of a certain one on some rows.

        On the CPU and rounded, so that files are found on another device too.
        """
        params = self._architecture.initial(1, torch.Generator().manual_seed(0))
        with torch.no_grad():
            outputs = self._architecture.outputs(params, rows[:PROBED_ROWS].cpu())
        return outputs.round(decimals=3) + 0.0  # no negative zeros


def _describe(network: Any) -> str:
    """Text that tells networks apart, the same in another process."""
    if isinstance(network, BaseEstimator):
        own = sorted(network.get_params().items())
        return f"{type(network).__qualname__}{own}"
    named = getattr(network, "__qualname__", None)
    return repr(network) if named is None else f"{network.__module__}.{named}"
