"""The protocol between the training loop and a distillation technique.

The loop draws batches, asks for a loss, steps along its gradient, and keeps the best support by the
technique's own scores on held-out rows. All else is the technique's: what is learnt beside the
rows, in which stages and at what rates, and which predictor the support induces.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, ClassVar

from sklearn.base import BaseEstimator

from .. import _torch as torch
from .._docs import DocLinkMixin
from ..batches.training_set import Batch, Sample, TrainingSet, blockwise, score
from ..support import Support
from .context import Context, Stage


class Objective(DocLinkMixin, BaseEstimator):
    """Base of the techniques: what the training loop asks of one.

    A technique implements `batch_loss` and `predictor`, and what else differs from here. It is an
    estimator: its constructor only stores parameters, `setup` checks them, and a grid search
    reaches them as ``objective__name``. The distiller trains clones of it.

    Read more in the :ref:`user guide <adding_a_technique>`, which shows one whole.

    Attributes
    ----------
    kinds : frozenset of {"none", "classes", "multilabel", "numbers"}
        Kinds of target that it works with: ``{"classes"}`` unless it says otherwise.

    needs_steps : bool
        False: `solve` alone makes the result. True by default.

    learns_labels : bool
        Whether it heeds ``learn_labels=True`` and ``"solve"``. False by default.

    unit_features : bool
        True gives it rows whose features, or channels of images, are of size 1, as networks expect,
        in place of rows of size 1. False by default.

    neighbour_units : bool
        True keeps the relation of the user's units, one factor for all features, unless features
        scaled one by one have clearly better nearest neighbours. False by default.

    balances_classes : bool
        What ``class_balance="auto"`` means. False by default.

    keeps_best : bool
        False: nothing is held out, and the last rows are kept. True by default.

    folds : bool
        Whether the stop for few rows is found on several held-out parts. True by default.

    resumes : bool
        Whether ``checkpoint=path`` can write its state: what it holds are numbers, tensors, lists,
        dicts and objects of this package. False by default.

    compares_starts : bool
        Whether losses on the same batch, after a few steps on the same batches, tell which of
        several starts is better: no chance but the batches' is in them. ``init="auto"`` then
        compares some for classes. False by default.

    See Also
    --------
    skdistill.DatasetDistiller : Trains rows by a technique, its parameter `objective`.

    Notes
    -----
    In the order of the calls: `setup`, `start`, `stages`; for each stage `begin` and `rates`; for
    each step `gradients` (by `batch_loss`) and `after_step`; for importances `solve`, `choose`,
    `predictor` and `temperature`; for looks at held-out rows `solve`, `scores` and `choose`. At the
    end `solve` and `choose`, now with all rows, then `rows`, `learnt_parameters`,
    `stored_predictor` and `make_estimator`.

    Examples
    --------
    >>> from skdistill.objectives import Objective
    >>> class ClassMeans(Objective):
    ...     def batch_loss(self, support, batch, weights):
    ...         means = batch.targets.T @ (weights[:, None] * batch.rows)
    ...         return (support.labels.to(means) @ means - support.rows).square().sum()
    ...
    ...     def predictor(self, support):
    ...         rows, labels = support.rows, support.labels
    ...         return lambda X: X @ rows.to(X).T @ labels.to(X)
    >>> from sklearn.datasets import load_digits
    >>> from skdistill import DatasetDistiller
    >>> X, y = load_digits(return_X_y=True)
    >>> len(DatasetDistiller(10, objective=ClassMeans(), max_iter=20).fit_distill(X, y))
    10
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    needs_steps: ClassVar[bool] = True
    learns_labels: ClassVar[bool] = False
    unit_features: ClassVar[bool] = False
    neighbour_units: ClassVar[bool] = False
    balances_classes: ClassVar[bool] = False
    keeps_best: ClassVar[bool] = True
    folds: ClassVar[bool] = True
    resumes: ClassVar[bool] = False
    compares_starts: ClassVar[bool] = False

    def reweights(self, kind: str, rows_per_class: float) -> bool:
        """Whether ``reweight="auto"`` weights the rows of importance batches.

        Called before `setup`. For numbers, unless a technique says otherwise.

        Parameters
        ----------
        kind : {"none", "classes", "multilabel", "numbers"}
            Kind of target.
        rows_per_class : float
            Learnt rows a class; infinity where there are no classes.

        Returns
        -------
        bool
            Whether weights keep batch losses unbiased.
        """
        return kind == "numbers"

    def favourite_batches(self, kind: str, rows_per_class: float) -> str:
        """Name the loss that ``batch_sampling="auto"`` draws batches by.

        Called before `setup`. "uniform", unless a technique is known to gain by another.

        Parameters
        ----------
        kind : {"none", "classes", "multilabel", "numbers"}
            Kind of target.
        rows_per_class : float
            Learnt rows a class; infinity where there are no classes.

        Returns
        -------
        str
            "uniform" or a `batch_loss` of the distiller.
        """
        return "uniform"

    # A step --------------------------------------------------------------------------------------

    def batch_loss(self, support: Support, batch: Batch, weights: Any) -> Any:
        """Loss of the support on a batch, a scalar tensor that can be differentiated.

        Parameters
        ----------
        support : Support
            Learnt rows (m, width), labels (m, q) and extras, in the stage's float type.
        batch : Batch
            Real rows (b, width) and their targets (b, q).
        weights : Tensor of shape (b,)
            Sums with them estimate means over all rows.

        Returns
        -------
        Tensor of shape ()
            The loss.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement batch_loss.")

    def predictor(self, support: Support) -> Callable[[Any], Any]:
        """Model induced by the support.

        Parameters
        ----------
        support : Support
            The learnt state.

        Returns
        -------
        callable
            Coordinates (k, width) -> outputs (k, q), both Tensors.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement predictor.")

    def gradients(
        self, support: Support, batch: Any, weights: Any, names: list[str]
    ) -> tuple[Any, list[Any]]:
        """Return the loss and its gradients in the named learnables, by autograd.

        They come from `batch_loss`. A technique that knows its derivatives overrides this one
        instead, as one must whose stages have no batches.

        Parameters
        ----------
        support : Support
            The learnt state.
        batch : Batch or Sample
            Real rows; a `Sample`, the same at every step, in a stage without batches.
        weights : Tensor of shape (b,) or None
            See `batch_loss`; None in a stage without batches.
        names : list of str
            Learnables, as of `rates`.

        Returns
        -------
        loss : Tensor of shape ()
            Without gradients.
        gradients : list of Tensor
            One for each name, of its shape.
        """
        learnables = [support[name].requires_grad_() for name in names]
        try:
            loss = self.batch_loss(support, batch, weights)
            _check_loss(self, loss)
            return loss.detach(), list(torch.autograd.grad(loss, learnables, allow_unused=True))
        finally:
            for tensor in learnables:
                tensor.requires_grad_(False)

    def after_step(self, support: Support) -> None:
        """Whatever must follow a step, in place; nothing by default.

        Parameters
        ----------
        support : Support
            The learnt state after the step.
        """

    # Before training -----------------------------------------------------------------------------

    def setup(self, context: Context) -> None:
        """Take the circumstances, once, on a clone; check the parameters.

        Parameters
        ----------
        context : Context
            Sizes, kernel, device, generator and what the user asks for.

        Raises
        ------
        ValueError
            Where the circumstances do not fit the technique.
        """
        if context.kind not in self.kinds:
            found = "y is missing; pass y, or use"
            if context.kind != "none":
                found = f"y is of kind {context.kind!r}; use"
            raise ValueError(
                f"objective={self!r} works with a target of kind {sorted(self.kinds)}, but "
                f"{found} objective='kernel_ridge', which takes all of them."
            )
        if context.learn_labels in (True, "solve") and not self.learns_labels:
            raise ValueError(
                f"learn_labels={context.learn_labels!r} does not work with objective={self!r}, "
                "which learns no labels; use learn_labels='auto'."
            )
        self._context = context

    def stages(self, max_iter: int | None) -> list[Stage]:
        """Return the stages of training.

        Parameters
        ----------
        max_iter : int or None
            Steps of all stages together; None asks for a default.

        Returns
        -------
        list of Stage
            None at all keeps the start.
        """
        n_steps = 1000 if max_iter is None else max_iter
        size = self._context.batch_size or 256
        return [Stage("train", n_steps, size, torch.float32)]

    def start(self, rows: Any, labels: Any, scale: Any = None) -> Support:
        """Support at the start.

        Parameters
        ----------
        rows : Tensor of shape (m, width)
            Real rows or centres, in coordinates.
        labels : Tensor of shape (m, q) or None
            Their targets.
        scale : Tensor of shape (width,) or (1,), default=None
            That of the RBF kernel at the start, for a technique that learns it.

        Returns
        -------
        Support
            The learnt state before the first step.
        """
        return Support(rows.clone(), labels)

    def rows(self, support: Support) -> Any:
        """Return the rows of a support in coordinates: the way back from `start`.

        Parameters
        ----------
        support : Support
            The learnt state.

        Returns
        -------
        Tensor of shape (m, width)
            The rows that are handed out.
        """
        return support.rows

    def begin(self, stage: Stage, support: Support, sample: Sample) -> Support:
        """Support that a stage starts from, with all its learnables.

        Parameters
        ----------
        stage : Stage
            The stage that begins.
        support : Support
            What the one before has left.
        sample : Sample
            Real rows; `sample.feed` draws batches for techniques that train models of their own.

        Returns
        -------
        Support
            In the stage's float type.
        """
        return support.to(stage.dtype)

    def rates(self, stage: Stage, support: Support) -> dict[str, float]:
        """Name what a stage learns, each with its step size.

        Parameters
        ----------
        stage : Stage
            The stage that begins.
        support : Support
            As `begin` returned it.

        Returns
        -------
        dict of str to float
            "rows", "labels" or keys of `support.extra`, and their rates.
        """
        return {"rows": self._context.learning_rate}

    # Looks at held-out rows, and the end ---------------------------------------------------------

    def solve(self, support: Support, sample: Sample) -> None:
        """Prepare in closed form what the technique has a closed form for; nothing by default.

        Called before scores are taken, with some rows, and at the end, with all. `choose` follows.

        Parameters
        ----------
        support : Support
            The learnt state, changed in place.
        sample : Sample
            Real rows with weights.
        """

    def scores(self, support: Support, held_out: TrainingSet) -> dict[Hashable, float]:
        """Score on held-out rows for each choice that is open at this step.

        Parameters
        ----------
        support : Support
            The learnt state after `solve`.
        held_out : TrainingSet
            Rows that training does not see.

        Returns
        -------
        dict of hashable to float
            Scores, larger is better; a technique without choices has one, under None.
        """
        predict = checked_predictor(self, support, held_out.targets.shape[1])
        outputs = blockwise(predict, held_out.rows)
        return {None: score(outputs, held_out, self._context.kind)}

    def expect(self, score: float) -> None:
        """Learn which score to expect where training has no held-out rows; nothing by default.

        Parameters
        ----------
        score : float
            The mean over held-out parts of earlier trainings.
        """

    def choose(self, support: Support, choice: Hashable) -> None:
        """Settle the choice with the best score; nothing by default.

        Parameters
        ----------
        support : Support
            The learnt state, changed in place.
        choice : hashable
            A key of `scores`; None leaves it to the technique.
        """

    def temperature(self, support: Support) -> float:
        """Divisor of the outputs before the softmax that makes them probabilities.

        Parameters
        ----------
        support : Support
            The learnt state.

        Returns
        -------
        float
            1 by default.
        """
        return 1.0

    def learnt_parameters(self, support: Support) -> dict[str, Any]:
        """Return parameters of the constructor that training has replaced; none by default.

        Parameters
        ----------
        support : Support
            The learnt state at the end.

        Returns
        -------
        dict
            Plain values by name. A copy with these is the distiller's ``objective_``, on which
            `make_estimator` is called.
        """
        return {}

    def make_estimator(
        self, kind: str, image_shape: tuple[int, int, int] | None, device: str, seed: int
    ) -> Any:
        """Estimator that the learnt rows are meant for, to be trained on them once at the end.

        It must not need `setup`.

        Parameters
        ----------
        kind : {"none", "classes", "multilabel", "numbers"}
            Kind of target.
        image_shape : tuple of int or None
            Channels, height and width of rows that are images.
        device : str
            As the user gave it.
        seed : int
            Of whatever is random in it.

        Returns
        -------
        estimator or None
            It will see rows in coordinates. None, the default, is kernel ridge regression with the
            kernel and the dual coefficients of the support.
        """
        return None

    def stored_predictor(self, support: Support) -> Any:
        """Predictor to keep on the fitted distiller; none by default.

        Called once, after the last solve.

        Parameters
        ----------
        support : Support
            The learnt state at the end.

        Returns
        -------
        object or None
            Of NumPy arrays alone. Its ``predict(rows, device)`` takes an ndarray (k, width) of
            coordinates and returns outputs (k, q), as those of `predictor`.
        """
        return None


def checked_predictor(
    objective: Objective, support: Support, n_outputs: int
) -> Callable[[Any], Any]:
    """Predictor of a technique, which must give a column for each class or output.

    Parameters
    ----------
    objective : Objective
        The technique.
    support : Support
        The learnt state.
    n_outputs : int
        Columns of the targets.

    Returns
    -------
    callable
        Rows (b, d) -> outputs (b, n_outputs); a ValueError names the technique and the shape.
    """
    predict = objective.predictor(support)

    def checked(rows: Any) -> Any:
        outputs = predict(rows)
        shape = tuple(getattr(outputs, "shape", ()))
        if shape != (len(rows), n_outputs):
            raise ValueError(
                f"The predictor of {type(objective).__name__} gives {_told(outputs)} for "
                f"{len(rows)} rows; it must give a tensor of shape ({len(rows)}, {n_outputs}), one "
                "column for each class or output."
            )
        return outputs

    return checked


def _check_loss(objective: Objective, loss: Any) -> None:
    """Raise a ValueError where a loss is no single number, or nothing can be learnt from it."""
    name = f"{type(objective).__name__}.batch_loss"
    if not isinstance(loss, torch.Tensor) or loss.ndim != 0:
        raise ValueError(
            f"{name} returned {_told(loss)}; it must return one number as a tensor of shape (), "
            "such as the sum of weights times losses."
        )
    if not loss.requires_grad:
        raise ValueError(
            f"{name} returned a loss that does not depend on what is learnt: was it detached, or "
            "computed from the batch alone?"
        )


def _told(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
