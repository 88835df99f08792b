r"""Rows on which a fresh network learns what the real rows would have taught it.

A student starts anew, makes a random number of steps :math:`N \in \{W, \dots, T\}` of gradient
descent on the m learnt rows S, and is then asked for the real rows. With v the weights of a batch B
and :math:`\ell` the cross-entropy,

.. math::
    \theta_{n+1} = \theta_n - \alpha\, v_{n+1}, \qquad
    v_{n+1} = \mu v_n + \nabla \ell(A_n S; \theta_n) + \omega\, \theta_n, \qquad
    L(S, \alpha) = \sum_{i \in B} v_i\, \ell(x_i, y_i; \theta_N) .

The gradient goes back through the last W steps only, as if :math:`\theta_{N - W}` were given (Feng,
Vedantam & Kempe, 2024): a window that is random in place sees all of training at the cost of a part
of it, and without the exploding gradients of the whole.
"""

from __future__ import annotations

from typing import Any, ClassVar

from .. import _torch as torch
from ..networks._architecture import Parameters
from ..networks._training import Recipe
from ..support import Support
from ._networks.student_technique import StudentTechnique
from ._networks.students import Plan, train_student
from .context import Context, Stage

STEPS = 1000
BATCH_SIZE = 1000  # real rows in a step
RECIPE = Recipe()  # momentum and weight decay are those of the field's public evaluation
COUNTS = {"window": 1, "unroll_steps": 1, "batch_syn": 1}  # the least


class UnrolledTraining(StudentTechnique):
    r"""Differentiate through the training of a network, in random windows (RaT-BPTT).

    Parameters
    ----------
    network : {"auto", "mlp", "convnet"}, network object or callable, default="auto"
        The network of students: "auto" is :class:`~skdistill.networks.ConvNet` for images (see
        `image_shape` of the distiller) and :class:`~skdistill.networks.MLP` for vectors; or a
        function ``(input_shape, n_outputs) -> torch.nn.Module``.

    augment : {"auto"}, str or None, default=None
        Augmentation of the learnt images in the steps of a student: names of "color", "crop",
        "cutout", "flip", "scale" and "rotate" joined by "_". "auto" takes all of them, without
        "flip" for images of one channel, and leaves vectors as they are.

    unroll_steps : int, default=120
        Most steps of a student on the learnt rows, T.

    window : int, default=40
        Last steps that the gradient goes back through, W; at most `unroll_steps`. With as many it
        goes through all of training.

    batch_syn : int or None, default=None
        Learnt rows in a step of a student. None takes all.

    lr_init : float, default=0.01
        Step size of the students at the start.

    learn_lr : bool, default=True
        Learn the students' step size (its logarithm, so that it stays positive). What training
        makes of `lr_init` is ``distiller.objective_.lr_init``.

    recompute : bool or "auto", default="auto"
        Make each step of the window anew when the gradient goes back through it, instead of keeping
        its activations: memory for `window` copies of the parameters and the activations of one
        step, for about a third more time. "auto" keeps the activations of as many steps as
        fit into 1 GiB, on a GPU into half of its free memory. False keeps those of all steps.

    See Also
    --------
    TrajectoryMatching : Asks where networks go instead of what they know.

    Notes
    -----
    `unroll_steps` and `window` are those of the paper for one row a class of CIFAR-10; for ten it
    has 200 and 60. Students descend with the momentum and weight decay of the field's public
    evaluation, which is what they are trained for, and with a learnt step size; in the paper they
    use Adam with a rate of 0.001, and real batches of 5,000 rows for 60,000 steps. The paper
    reports for CIFAR-10 with 1, 10 and 50 images a class 53.2, 69.4 and 75.3 %, after ZCA
    whitening, which is not made here.

    Classes count alike, whatever their weight: rows and batches are balanced unless the distiller's
    `class_balance` is False. The loss is a sum over the rows of a batch, so that importance batches
    with ``reweight=True`` keep it unbiased. Labels stay those of the start, one class a row.
    Nothing is held out: the last rows are kept. What ``DistilledClassifier(estimator=None)`` trains
    in the end is a :class:`~skdistill.networks.NetworkClassifier` with the same `network` and
    `augment` and with the learnt step size.

    References
    ----------
    .. [1] Y. Feng, R. Vedantam, J. Kempe. "Embarrassingly Simple Dataset Distillation". ICLR 2024.

    Examples
    --------
    >>> from skdistill.networks import ConvNet
    >>> from skdistill.objectives import UnrolledTraining
    >>> UnrolledTraining(ConvNet(width=32), window=20)
    UnrolledTraining(network=ConvNet(width=32), window=20)
    """

    rate: ClassVar[float] = 0.8  # of learning_rate: steps are dear, and long ones arrive sooner

    def __init__(
        self,
        network: Any = "auto",
        augment: str | None = None,
        unroll_steps: int = 120,
        window: int = 40,
        batch_syn: int | None = None,
        lr_init: float = 0.01,
        learn_lr: bool = True,
        recompute: bool | str = "auto",
    ) -> None:
        self.network = network
        self.augment = augment
        self.unroll_steps = unroll_steps
        self.window = window
        self.batch_syn = batch_syn
        self.lr_init = lr_init
        self.learn_lr = learn_lr
        self.recompute = recompute

    def setup(self, context: Context) -> None:
        """Check the parameters; see `Objective.setup`."""
        super().setup(context)
        self._check_integers(COUNTS, or_none=("batch_syn",))
        self._check_positive("lr_init")
        if self.window > self.unroll_steps:
            raise ValueError(
                f"window={self.window!r} of UnrolledTraining is larger than "
                f"unroll_steps={self.unroll_steps!r}; use at most as many."
            )

    def stages(self, max_iter: int | None) -> list[Stage]:
        """One stage; see `Objective.stages`."""
        n_steps = STEPS if max_iter is None else max_iter
        size = self._context.batch_size or BATCH_SIZE
        return [Stage("unroll", n_steps, size, torch.float32, max(1, min(100, n_steps // 12)))]

    def _plan(self, support: Support, batch: Any = None, weights: Any = None) -> Plan:
        """Bring a fresh student to the window, and ask it for the batch after that."""
        context, dtype = self._context, support.rows.dtype
        start = self._architecture.initial(1, context.generator, dtype)
        span = self.unroll_steps - self.window + 1
        before = int(torch.randint(span, (1,), generator=self._random))
        steps = self._draw_steps(support, before + self.window)

        def goal(params: Parameters) -> Any:
            log_p = torch.log_softmax(self._architecture.outputs(params, batch.rows)[0], 1)
            return -(weights @ (batch.targets * log_p).sum(1))

        def plan(start: Parameters, steps: list[Any], velocity: Any) -> Plan:
            return Plan(start, steps, goal, velocity, RECIPE.momentum, RECIPE.weight_decay)

        early = plan(start, steps[:before], [])
        inner, rate = self._inner_loss(support.labels), support["log_rate"].exp()
        params, velocity = train_student(inner, support.rows, rate, early)
        return plan(early.named(params), steps[before:], velocity)
