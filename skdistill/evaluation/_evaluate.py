"""What a small set is worth, alone or beside random rows."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params

from ..data import DistilledData
from ._controls import N_DRAWS, check_teacher, compare
from ._protocols import AUGMENTED, fresh_scores

__all__ = ["evaluate"]


@validate_params(
    {
        "distilled": [DistilledData, HasMethods("fit")],
        "protocol": [
            StrOptions({*AUGMENTED, "kernel_ridge"}),
            HasMethods(["fit", "predict"]),
        ],
        "labels": [StrOptions({"auto", "hard", "soft", "teacher"})],
        "teacher": [HasMethods("predict_proba"), None],
        "controls": ["boolean", Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "scoring": [str, callable, None],
        "use_weights": ["boolean", StrOptions({"auto"})],
    },
    prefer_skip_nested_validation=False,  # networks say themselves what their parameters may be
)
def evaluate(
    distilled: Any,
    X_test: Any,
    y_test: Any,
    protocol: Any = "network",
    *,
    X_train: Any = None,
    y_train: Any = None,
    labels: str = "auto",
    teacher: Any = None,
    controls: bool | int = False,
    scoring: Any = None,
    network: Any = "auto",
    image_shape: tuple[int, int, int] | None = None,
    augment: str | None = None,
    learning_rate: float | str = "auto",
    n_networks: int = 5,
    use_weights: bool | str = "auto",
    device: str = "auto",
    random_state: Any = None,
) -> np.ndarray | dict[str, float]:
    r"""Train fresh models on a small set and score them on test rows.

    The default is the public protocol of dataset distillation: `n_networks` networks start anew and
    are trained on the small set alone, 300 epochs with SGD (1,000 with augmentation), and the last
    epoch counts. Nothing is chosen by the test rows.

    Parameters
    ----------
    distilled : DistilledData or fitted distiller
        The small set. A fitted distiller, also that of a fitted
        :class:`~skdistill.DistilledClassifier`, knows more: whether labels are classes, the units
        its rows were learnt in, its `image_shape` and its kernel.

    X_test : array-like of shape (n_test, n_features)
        Test rows, in the units of the small set's rows.

    y_test : array-like of shape (n_test,) or (n_test, n_outputs)
        Their labels or values. Of several labels a row (columns of 0 and 1), all must be right for
        the row to count as right, as in :class:`~skdistill.DistilledClassifier`.

    protocol : {"network", "dsa", "dc", "kernel_ridge"} or estimator, default="network"
        What is trained on the small set.

        - "network": stochastic gradient descent on networks, all at once; see
          :class:`~skdistill.networks.NetworkClassifier`. For another recipe pass such an estimator,
          with its own `n_networks`.
        - "dsa": the same with differentiable augmentation and 1,000 epochs, as published for DSA,
          DM and MTT.
        - "dc": 1,000 epochs in which each image is shifted by up to an eighth of its side (4 pixels
          of 28), stretched by up to a fifth or turned by up to 45 degrees, as published for DC on
          MNIST.
        - "kernel_ridge": the kernel ridge predictor that the set was learnt for. Where that is not
          known: weighted kernel ridge regression with an RBF kernel whose `gamma` is one over the
          number of features, of size 1, and the ridge of least leave-one-out error.
        - An estimator: a clone of it, on the rows as they are.

    X_train : array-like of shape (n_train, n_features), default=None
        Real rows that the mean and deviation of features, or of the channels of images, are taken
        from. None takes those that a fitted distiller used for networks, else those of the small
        set, which with a few learnt rows are others than those of real rows.

    y_train : array-like of shape (n_train,), default=None
        Classes of `X_train`, for `controls`.

    labels : {"auto", "hard", "soft", "teacher"}, default="auto"
        Labels of classes that are trained on: "hard" is one class a row, by cross-entropy; "soft"
        is ``distilled.targets``, by the squared error; "auto" is "soft" where the targets are not
        one-hot, so that learnt labels count; "teacher" is what `teacher` says of the rows, by the
        squared error. Estimators are given hard ones, those that the teacher holds most probable.
        Several labels a row are trained on by the squared error.

    teacher : fitted classifier, default=None
        Its ``predict_proba`` labels rows: those of the set with ``labels="teacher"``, and the
        random ones of `controls` where labels are soft.

    controls : bool or int, default=False
        Score random rows of `X_train` beside the set, with labels of the same kind. Soft labels of
        a teacher can help a model whatever the rows are: a claim for a distilled set is a claim
        against random rows with equal labels. A number says how many draws, each with as many rows
        of a class as the set has; True is 3.

    scoring : str, callable or None, default=None
        A scorer of scikit-learn by name, or ``scorer(estimator, X, y)``. None is accuracy for
        classes and R2 for numbers.

    network : {"auto", "mlp", "convnet"}, network object or callable, default="auto"
        Of the protocols that train networks, as are the parameters below it; see
        :class:`~skdistill.networks.NetworkClassifier`. "auto" takes that of a fitted distiller's
        objective.

    image_shape : tuple of int, default=None
        Channels, height and width of rows that are images. None takes that of a fitted distiller.

    augment : {"auto"}, str or None, default=None
        Augmentation in training. None is that of the protocol.

    learning_rate : float or "auto", default="auto"
        Step size of networks. "auto" is the one that a fitted distiller has learnt with its rows
        (:class:`~skdistill.objectives.TrajectoryMatching`,
        :class:`~skdistill.objectives.UnrolledTraining`), else 0.01.

    n_networks : int, default=5
        Networks, and scores.

    use_weights : bool or "auto", default="auto"
        Whether models get the weights of the rows. "auto" leaves them out only where an estimator
        takes none and they are all equal. Estimators get them divided by their mean.

    device : str, default="auto"
        Where networks are trained, and where kernel ridge regression works that the set does not
        bring along.

    random_state : int, RandomState instance or None, default=None
        Seed of the networks.

    Returns
    -------
    scores : ndarray of shape (n_models,) or dict
        One of each network; a single one with any other model. With `controls` mean scores over
        models, and over draws: "own" of the set with the labels asked for, "hard" of its rows with
        one class each, "random" of random rows with labels of the same kind, "random_hard" of
        random rows with one class each, "all_rows" of all rows (networks make at most 6,000 steps
        on them). And from them the numbers of DD-Ranking [1]_, "hard_label_recovery" (HLR),
        "improvement_over_random" (IOR) and "label_robust_score":

        .. math:: \mathrm{HLR} = a_\mathrm{all} - a_\mathrm{hard}, \quad
            \mathrm{IOR} = a_\mathrm{own} - a_\mathrm{random}, \quad
            \frac{\exp((\mathrm{IOR} - \mathrm{HLR}) / 2) - e^{-1}}{e - e^{-1}} .

        A small HLR and a large IOR are good.

    Raises
    ------
    ValueError
        If the set has no labels, its rows have other features than `X_test`, it has several columns
        of classes that are not 0 and 1, a teacher is needed and missing, or `controls` are asked
        for without `X_train` and `y_train` or for labels that are not one class a row.

    See Also
    --------
    skdistill.DistilledClassifier : Distils and trains within a cross-validation.

    References
    ----------
    .. [1] Z. Li et al., "DD-Ranking: Rethinking the Evaluation of Dataset Distillation",
       arXiv:2505.13300, 2025.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skdistill import SensitivityCoreset
    >>> from skdistill.evaluation import evaluate
    >>> from skdistill.networks import MLP
    >>> X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    >>> small = SensitivityCoreset(100, random_state=0).fit_distill(X, y)
    >>> scores = evaluate(
    ...     small, X_test, y_test, network=MLP(64), n_networks=3, X_train=X, random_state=0
    ... )
    >>> scores.shape, bool(scores.min() > 0.7)
    ((3,), True)

    Is it the rows? Medoids are better than random rows with equal labels:

    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> small = SensitivityCoreset(50, random_state=0).fit_distill(X, y).normalized()
    >>> model = KNeighborsClassifier(1)
    >>> found = evaluate(
    ...     small, X_test, y_test, model, X_train=X, y_train=y, controls=True, use_weights=False,
    ...     random_state=0,
    ... )
    >>> bool(found["improvement_over_random"] > 0)
    True
    """
    options: dict[str, Any] = {
        "X_train": X_train,
        "scoring": scoring,
        "network": network,
        "image_shape": image_shape,
        "augment": augment,
        "learning_rate": learning_rate,
        "n_networks": n_networks,
        "use_weights": use_weights,
        "device": device,
        "random_state": random_state,
    }
    if labels == "teacher":
        check_teacher(teacher, "labels='teacher' asks for one")
    test = (X_test, y_test, protocol)
    if not controls:
        return fresh_scores(distilled, *test, labels=labels, teacher=teacher, **options)
    if X_train is None or y_train is None:
        raise ValueError("controls are drawn from real rows: give X_train and y_train.")
    n_draws = N_DRAWS if controls is True else int(controls)
    return compare(distilled, test, y_train, n_draws, labels, teacher, options)
