"""scikit-learn's callbacks hear of the stages of a fit, in versions that have callbacks."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdistill import (
    AutoDistiller,
    DatasetDistiller,
    DistilledClassifier,
    DistilledRegressor,
    SensitivityCoreset,
)
from skdistill.learning.callbacks import FitTask

pytestmark = pytest.mark.usefixtures("quick_fits")


class Recorder:
    """Hears of all tasks; asks to stop at the end of a numbered one of the steps."""

    max_propagation_depth = None

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.begun, self.ended, self.seen, self.torn_down = [], [], [], 0

    def setup(self, estimator, context):
        self.begun.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.begun.append((context.task_name, context.max_subtasks))
        self.seen.append((X, y, metadata))

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.task_name)
        return self.stop_at is not None and self.ended.count("steps") == self.stop_at

    def teardown(self, estimator, context):
        self.torn_down += 1


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600], y[:600]


def quick(**options):
    return DatasetDistiller(**{"n_samples": 12, "max_iter": 40, "random_state": 0, **options})


def with_recorder(stop_at=None, **options):
    pytest.importorskip("sklearn.callback")
    recorder = Recorder(stop_at)
    return quick(**options).set_callbacks(recorder), recorder


def test_stages_and_steps_are_tasks(digits):
    X, y = digits
    weight = np.ones(len(X))
    distiller, recorder = with_recorder(early_stopping=False)
    distiller.fit(X, y, sample_weight=weight)
    assert recorder.begun[:2] == ["setup", ("fit", 2)]
    # Few rows: without held-out parts two stages of 24 and 16 steps, each step a task.
    assert Counter(recorder.begun[2:]) == {("solve", 24): 1, ("dual", 16): 1, ("steps", 0): 40}
    assert Counter(recorder.ended) == {"fit": 1, "solve": 1, "dual": 1, "steps": 40}
    assert recorder.ended[-1] == "fit"
    assert recorder.torn_down == 1
    for seen_X, seen_y, metadata in recorder.seen:
        assert seen_X is X and seen_y is y and metadata["sample_weight"] is weight


def test_every_held_out_part_is_heard(digits):
    distiller, recorder = with_recorder()
    distiller.fit(*digits)
    begun, ended = Counter(recorder.begun), Counter(recorder.ended)
    stages = Counter(name for name, _ in recorder.begun[1:])
    assert begun["solve", 24] >= 2
    assert begun["fit", 2 * (2 + 1)] == 1  # as many stages at most
    assert stages["solve"] == 2 + 1  # two parts, and all rows as far as was best
    assert stages["steps"] == ended["steps"]


def test_long_stages_are_told_in_hundredths(digits):
    distiller, recorder = with_recorder(early_stopping=False, max_iter=250, learn_labels="solve")
    distiller.fit(*digits)
    assert Counter(recorder.begun[2:]) == {("solve", 84): 1, ("steps", 0): 84}
    assert distiller.n_iter_ == 250


def test_no_steps(digits):
    distiller, recorder = with_recorder(max_iter=0, early_stopping=False)
    distiller.fit(*digits)
    assert Counter(recorder.begun[2:]) == {("solve", 0): 1, ("dual", 0): 1}


def test_listening_changes_nothing(digits):
    distiller, _ = with_recorder()
    assert_array_equal(distiller.fit_distill(*digits).X, quick().fit_distill(*digits).X)


def test_a_callback_ends_the_stage(digits):
    distiller, recorder = with_recorder(stop_at=7, early_stopping=False, learn_labels="solve")
    distiller.fit(*digits)
    assert distiller.n_iter_ == 7
    assert len(distiller.loss_curve_) == 7
    assert recorder.ended == ["steps"] * 7 + ["solve", "fit"]
    shorter = quick(early_stopping=False, learn_labels="solve").fit(*digits)
    assert_array_equal(distiller.loss_curve_, shorter.loss_curve_[:7])


def test_an_interruption_ends_every_task(digits):
    def interrupting(targets, outputs):
        raise KeyboardInterrupt

    distiller, recorder = with_recorder(batch_loss=interrupting, early_stopping=False)
    with pytest.raises(KeyboardInterrupt):
        distiller.fit(*digits)
    assert Counter(recorder.ended) == Counter(task[0] for task in recorder.begun[1:])
    assert recorder.torn_down == 1


def test_an_error_tears_down_what_was_set_up(digits):
    def failing(targets, outputs):
        raise ValueError("of the loss")

    distiller, recorder = with_recorder(batch_loss=failing, early_stopping=False)
    with pytest.raises(ValueError, match="of the loss"):
        distiller.fit(*digits)
    assert recorder.torn_down == recorder.begun.count("setup") == 1
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        distiller.fit(digits[0], digits[1][:-1])
    assert recorder.torn_down == recorder.begun.count("setup")


def test_a_pipeline_hands_its_callbacks_down(digits):
    pytest.importorskip("sklearn.callback")
    recorder = Recorder()
    pipe = make_pipeline(StandardScaler(), quick(early_stopping=False)).set_callbacks(recorder)
    pipe.fit(*digits)
    assert Counter(recorder.begun)["dual", 16] == 1
    assert recorder.torn_down == 1


def meta_with_recorder(estimator=None, **options):
    pytest.importorskip("sklearn.callback")
    recorder = Recorder()
    distiller = quick(early_stopping=False, learn_labels="solve")
    model = DistilledClassifier(estimator, distiller, **options).set_callbacks(recorder)
    return model, recorder


def test_a_meta_estimator_hands_its_callbacks_to_the_distiller(digits):
    model, recorder = meta_with_recorder()
    model.fit(*digits)
    # The task of the meta-estimator and the distiller's fit are one.
    assert recorder.begun[:3] == ["setup", ("fit", 1), ("fit", 1)]
    assert Counter(recorder.begun[3:]) == {("solve", 40): 1, ("steps", 0): 40}
    assert Counter(recorder.ended) == {"fit": 2, "solve": 1, "steps": 40}
    assert recorder.ended[-1] == "fit" and recorder.torn_down == 1
    for found in (model, model.distiller_, model.distiller):
        assert not {"_callback_fit_ctx", "_parent_callback_ctx"} & set(vars(found))
    assert not hasattr(model.distiller_, "_skl_callbacks")
    assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict(digits[0]), model.predict(digits[0])
    )


def test_a_meta_estimator_hands_its_callbacks_to_the_estimator(digits):
    model, recorder = meta_with_recorder(make_pipeline(StandardScaler(), KNeighborsClassifier(1)))
    with pytest.warns(UserWarning, match="KNeighborsClassifier does not support callbacks"):
        model.set_params(use_weights=False).fit(*digits)
    names = [name for name, _ in recorder.begun[1:]]
    assert ("fit", 2) in recorder.begun
    assert names.index("solve") < names.index("fit-final-estimator")
    assert recorder.torn_down == 1


def test_a_regressor_hands_its_callbacks_down_too(digits):
    pytest.importorskip("sklearn.callback")
    recorder = Recorder()
    model = DistilledRegressor(distiller=quick(early_stopping=False)).set_callbacks(recorder)
    model.fit(digits[0], digits[0][:, 20])
    assert Counter(recorder.begun)["solve", 40] == 1


def test_a_distiller_without_callbacks_is_named(digits):
    model, recorder = meta_with_recorder()
    model.set_params(distiller=SensitivityCoreset(20, random_state=0))
    with pytest.warns(UserWarning, match="SensitivityCoreset does not support callbacks"):
        model.fit(*digits)
    assert recorder.ended == ["distil", "fit"]


def test_a_cached_distiller_is_found_by_whoever_listens(digits, tmp_path):
    model, recorder = meta_with_recorder(memory=str(tmp_path))
    model.fit(*digits)
    told = Counter(recorder.ended)
    model.fit(*digits)
    assert Counter(recorder.ended) == told + Counter(["fit"])  # no steps: the file was found
    clone(model).set_callbacks().fit(*digits)
    assert recorder.torn_down == 2


def test_an_error_tears_down_the_meta_estimator_too(digits):
    model, recorder = meta_with_recorder()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(digits[0], digits[1][:-1])
    assert recorder.torn_down == 1


def test_fitted_distillers_are_pickled_and_cloned(digits):
    distiller, _ = with_recorder(early_stopping=False)
    distiller.fit(*digits)
    copy = pickle.loads(pickle.dumps(distiller))
    assert_array_equal(copy.transform(digits[0]), distiller.transform(digits[0]))
    assert not hasattr(clone(distiller), "distilled_")


CORESETS = [(SensitivityCoreset(sampling=name), False) for name in ("medoids", "systematic")]
AUTO = AutoDistiller(
    20, candidates=CORESETS, estimator=GaussianNB(), n_rounds=3, n_exchanges=0, random_state=0
)
BARS = {
    "stages": quick(early_stopping=False),
    "held-out parts": quick(),
    "no steps": quick(objective="analytic_ridge"),
    "meta": DistilledClassifier(KNeighborsClassifier(1), quick(max_iter=10), use_weights=False),
    "pipeline": make_pipeline(StandardScaler(), quick(max_iter=10)),
    "auto": AUTO,
}


@pytest.mark.filterwarnings("ignore:.*does not support callbacks")
@pytest.mark.parametrize("name", BARS)
def test_the_outer_progress_bar_moves(digits, name, monkeypatch):
    pytest.importorskip("rich")
    callback = pytest.importorskip("sklearn.callback")
    from rich.progress import Progress

    told = []

    def update(self, task_id, **options):
        Progress_update(self, task_id, **options)
        task = self.tasks[0]
        told.append((task.completed, task.total))

    Progress_update = Progress.update
    monkeypatch.setattr(Progress, "update", update)
    clone(BARS[name]).set_callbacks(callback.ProgressBar()).fit(*digits)
    shares = [completed / total for completed, total in told]
    assert shares[-1] == 1 and shares == sorted(shares)
    assert name == "no steps" or len({share for share in shares if 0 < share < 1}) >= 3


def test_a_callback_ends_the_contest_of_auto_distiller(digits):
    pytest.importorskip("sklearn.callback")
    recorder = Recorder(stop_at=2)
    auto = clone(AUTO).set_callbacks(recorder).fit(*digits)
    assert ("fit", 3 + 1) in recorder.begun  # rounds and the last choice
    # Two entries of three were tried in the first round, and stay.
    assert Counter(recorder.ended)["steps"] == 2 * 3
    assert len(auto.distilled_) == 20


def test_a_fit_task_of_an_estimator_without_callbacks():
    task = FitTask(object(), None, None, None)
    assert not task.is_heard
    with task.part("distil", object()):
        pass
    task.end()
