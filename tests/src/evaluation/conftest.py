"""What the tests of scores share."""

import pytest
from helpers_data import make_trancos
from helpers_evaluate import CLICKS, arguments_of, read_report
from helpers_runs import write_experiment

from scripts import evaluate


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return write_experiment(tmp_path_factory.mktemp("runs"), n_classes=2)


@pytest.fixture(scope="module")
def evaluated(experiment):
    """The experiment's folder, its validation scores, the folder of its evaluation and the report there."""
    savedir, scores = experiment
    assert evaluate.main(arguments_of(savedir)) == 0
    return savedir, scores, savedir / "evaluation", read_report(savedir / "evaluation", "val")


@pytest.fixture(scope="module")
def of_one_class(tmp_path_factory):
    """A folder with an experiment of one class, and its validation scores."""
    return write_experiment(tmp_path_factory.mktemp("runs"), n_classes=1)


@pytest.fixture
def trancos(tmp_path):
    return make_trancos(tmp_path / "data", clicks=CLICKS)
