"""Clusters of generated images: relations by hand, planted clusters found."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from ganfp_tf.detectors.attacks.clusters import ClusterRelations
from ganfp_tf.detectors.spaces.base import PIXELS
from ganfp_tf.errors import UserError
from ganfp_tf.statistics.metrics import auc
from tests.helpers.pictures import Pictures, planted, shuffled


def flat(*values):
    """Pictures of one gray value: their distance is the difference."""
    return np.array(values)[:, None, None] * np.ones((len(values), 2, 2))


def scored(detector, real, made, store):
    return detector.fit(real, made, store).score(real, made, store)


DETECTOR = ClusterRelations(space=PIXELS, clusters=2, k=2)


def test_relations_by_hand():
    """Centres 0.11 (three images) and 0.8 (one)."""
    store = Pictures()
    made = store.add(flat(0.1, 0.11, 0.12, 0.8), "generated")
    real = store.add(flat(0.15, 0.21, 0.31, 0.7))
    found = scored(DETECTOR, real, made, store)
    # Other real images: 0.1, 0.2, 0.59 from the first centre, two of three in its cluster.
    fuller = np.log((3 + 1) / (4 + 2)) - np.log((2 + 1) / (3 + 2))
    assert found[0] == pytest.approx(fuller + np.log(0.15 / 0.04), abs=1e-4)
    # From the second centre: 0.49, 0.59, 0.65, none of three in its cluster.
    fuller = np.log((1 + 1) / (4 + 2)) - np.log((0 + 1) / (3 + 2))
    assert found[3] == pytest.approx(fuller + np.log(0.54 / 0.1), abs=1e-4)


def test_the_patients_other_images_are_left_out():
    store = Pictures()
    made = store.add(flat(0.1, 0.11, 0.12, 0.8), "generated")
    real = store.add(flat(0.15, 0.16, 0.21, 0.31, 0.7), patients=list("aabcd"))
    alone = scored(DETECTOR, real.drop(index=1), made, store)
    assert scored(DETECTOR, real, made, store)[0] == pytest.approx(alone[0])


def test_centres_are_those_of_k_means():
    rng = np.random.default_rng(0)
    store = Pictures()
    made = store.add(rng.random((50, 4, 4)), "generated")
    detector = ClusterRelations(space=PIXELS, clusters=5)
    vectors = PIXELS.fit(made, made, store)
    centres, counts = detector.fit(made, made, store)._clusters(made, vectors, store)
    rows = store.pixels(made.sort_values("digest")).astype("float64")
    model = KMeans(5, random_state=0).fit(rows)
    assert centres == pytest.approx(model.cluster_centers_, abs=1e-6)
    assert list(counts) == list(np.bincount(model.labels_))
    assert counts.sum() == 50


def test_planted_clusters_are_found_whatever_the_order():
    store, real, made, labels = planted(np.random.default_rng(0), copies=8)
    detector = ClusterRelations(clusters=20)
    found = scored(detector, real, made, store)
    assert found.dtype == np.float64
    assert auc(labels, found) > 0.95
    mixed = shuffled(real, 1)
    again = detector.fit(mixed, shuffled(made, 2), store).score(mixed, shuffled(made, 3), store)
    assert (again == found[mixed.index]).all()


def test_fewer_and_equal_images_are_no_error():
    store = Pictures()
    made = store.add(flat(0.5), "generated")
    real = store.add(flat(0.5, 0.9))
    twice = made.loc[[0, 0, 0]]
    for generated in (made, twice):
        assert np.isfinite(scored(ClusterRelations(), real, generated, store)).all()


def test_mistakes_are_named():
    store = Pictures()
    real, made = store.add(flat(0.1, 0.2)), store.add(flat(0.3), "generated")
    with pytest.raises(UserError, match="at least 1 generated image, found none"):
        scored(ClusterRelations(), real, made[:0], store)
    with pytest.raises(UserError, match="Found none for real_0: hand in"):
        scored(ClusterRelations(), real.assign(patient="p"), made, store)
    with pytest.raises(ValueError, match=r"after fit\(\) only"):
        ClusterRelations().score(real, made, store)
