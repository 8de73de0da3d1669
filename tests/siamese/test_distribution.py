"""Each device takes its own blocks of a step, and all of them together the whole step."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ganfp_tf.config.tf_config import Cluster
from ganfp_tf.data import pairs
from ganfp_tf.siamese import distribution
from ganfp_tf.siamese.distribution import ALONE, Team, share

BLOCKS, R, G = 8, 3, 5


def step_dataset():
    weights = pairs.class_weights([0, 1] * 10)
    dataset = pairs.steps(0).apply(pairs.sample_real(weights, blocks=BLOCKS, count=R, seed=1))
    return dataset.apply(pairs.pair_random(30, count=G, seed=1))


@pytest.mark.parametrize(("workers", "local"), [(2, 1), (4, 1), (2, 2), (1, 2)])
def test_shares_make_up_the_step(workers, local):
    replicas = workers * local
    parts = [
        list(step_dataset().apply(share(replicas, w * local, local)).take(3 * local))
        for w in range(workers)
    ]
    for number, whole in enumerate(step_dataset().take(3)):
        for name, width in (("real", R), ("generated", G)):
            mine = [part[number * local + d][name] for part in parts for d in range(local)]
            assert {tuple(part.shape) for part in mine} == {(BLOCKS // replicas, width)}
            assert np.array_equal(np.concatenate(mine), whole[name])


def test_a_share_is_endless():
    cardinality = step_dataset().apply(share(2, 0, 1)).cardinality()
    assert cardinality == tf.data.INFINITE_CARDINALITY


def test_workers_encode_every_image_once():
    frame = pd.DataFrame({"digest": list("abcadefb")})
    teams = [Team(cluster=Cluster(("a:1", "b:2", "c:3"), index)) for index in range(3)]
    mine = [list(team.mine(frame)["digest"]) for team in teams]
    assert sorted(digest for part in mine for digest in part) == list("abcdef")
    assert [team.chief for team in teams] == [True, False, False]


def test_one_process_asks_nobody(tmp_path):
    assert ALONE.chief
    assert ALONE.replicas == 1
    assert ALONE.call(sum, [1, 2]) == 3
    assert ALONE.numbers(2, lambda: (0.1, 2)) == [0.1, 2]
    ALONE.check_folder(tmp_path / "none")
    ALONE.wait()
    assert ALONE.datasets(lambda share: share) is None
    ALONE.agree("anything", "x")
    ALONE.part()


def test_missing_workers_are_named(monkeypatch, capsys):
    monkeypatch.setattr(distribution, "PATIENCE", 0.01)
    asked = []
    monkeypatch.setattr(distribution, "_answers", lambda end: asked.append(end) or end[1] == 1)
    with distribution._report_missing(Cluster(("a:1", "b:2", "c:3"), 1)):
        while len(asked) < 4:
            pass
    assert "waiting for worker 2 (c:3)" in capsys.readouterr().err
    assert set(asked) == {("a", 1), ("c", 3)}
