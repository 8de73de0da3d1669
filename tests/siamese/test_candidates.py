import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from ganfp_tf.config import Config
from ganfp_tf.errors import UserError
from ganfp_tf.siamese import candidates as search
from ganfp_tf.siamese.candidates import Vectors
from ganfp_tf.siamese.encoded_images import EncodedImages, partners


def vectors(n, m, channels=16, seed=0):
    rng = np.random.default_rng(seed)
    pooled = rng.normal(size=(n + m, channels)).astype("float32")
    centres = pooled[:n].mean(axis=0), pooled[n:].mean(axis=0)
    return Vectors(pooled, np.arange(n), centres[0]), Vectors(pooled, n + np.arange(m), centres[1])


def nearest(one, other, k):
    pooled = np.concatenate([one, other])
    rows = np.arange(len(one)), len(one) + np.arange(len(other))
    zero = np.zeros(one.shape[1])
    return search.exact(*(Vectors(pooled, each, zero) for each in rows), k, 1e9)


@given(
    n=st.integers(1, 7),
    m=st.integers(1, 30),
    k=st.integers(1, 40),
    limit=st.integers(1, 5000),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_the_exact_search_is_a_stable_sort_of_cosines_whatever_the_memory(n, m, k, limit, seed):
    real, generated = vectors(n, m, seed=seed)
    generated.rows[m // 2 :] = generated.rows[0]  # equal ones
    cosine = np.round(cosine_similarity(real[np.arange(n)], generated[np.arange(m)]), 12)
    expected = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(search.exact(real, generated, k, limit), expected)


def test_few_images_are_searched_exactly():
    real, generated = vectors(5, 40)
    found, recall = search.candidates(real, generated, 3, 1e9, seed=0)
    np.testing.assert_array_equal(found, search.exact(real, generated, 3, 1e9))
    assert recall == search.Recall(3, 40, "exact")
    assert recall.sentence() == "candidates: the 3 nearest of 40 images, exact search"


def test_many_images_are_searched_approximately_and_the_recall_is_measured():
    pytest.importorskip("faiss", reason="needs faiss-cpu, which requirements.txt installs")
    real, generated = vectors(30, 4000)
    found, recall = search.candidates(real, generated, 10, 1e9, seed=0, exact_up_to=1000)
    true = search.exact(real, generated, 10, 1e9)
    share = np.mean([np.isin(a, b).mean() for a, b in zip(true, found, strict=True)])
    assert recall.value == pytest.approx(share)
    assert recall.low <= recall.value <= recall.high
    assert 0.5 < recall.value < 1.0
    assert recall.images == 30
    assert all(len(set(row)) == 10 for row in found.tolist())
    again, same = search.candidates(real, generated, 10, 1e9, seed=0, exact_up_to=1000)
    np.testing.assert_array_equal(found, again)
    assert recall == same
    assert "recall 0." in recall.sentence()
    assert "30 real images" in recall.sentence()
    # What was fetched is ranked by the exact cosine.
    cosine = np.take_along_axis(real[np.arange(30)] @ generated[np.arange(4000)].T, found, axis=1)
    assert (np.diff(cosine, axis=1) <= 1e-9).all()


def test_copies_are_found_among_many():
    pytest.importorskip("faiss", reason="needs faiss-cpu, which requirements.txt installs")
    real, generated = vectors(20, 3000)
    pooled = real.pooled.copy()
    noise = np.random.default_rng(1).normal(0, 0.01, (20, 16))
    pooled[20:40] = pooled[:20] - real.centre + generated.centre + noise
    real, generated = (Vectors(pooled, each.rows, each.centre) for each in (real, generated))
    found, _ = search.candidates(real, generated, 5, 1e9, seed=0, exact_up_to=100)
    np.testing.assert_array_equal(found[:, 0], np.arange(20))


def test_where_cells_hold_too_few_others_follow():
    _, generated = vectors(1, 10)
    found = search._ranked(generated[[4]][0], np.array([4, -1, -1]), generated, 4)
    assert found[0] == 4
    assert len(set(found.tolist())) == 4


@pytest.mark.parametrize("k", [1, 5, 40])
def test_nearest_against_scikit_learn(k):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(15, 6)), rng.normal(size=(40, 6))
    model = NearestNeighbors(n_neighbors=k, metric="cosine").fit(other)
    found = nearest(one, other, k)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, model.kneighbors(one, return_distance=False))


def test_nearest_takes_all_where_there_are_fewer_and_does_not_mind_lengths():
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(3, 6)), rng.normal(size=(4, 6))
    found = nearest(one, other, 99)
    assert np.sort(found, axis=1).tolist() == [[0, 1, 2, 3]] * 3
    lengths = np.array([[0.01], [1.0], [100.0], [7.0]])
    np.testing.assert_array_equal(nearest(5 * one, lengths * other, 99), found)


def test_equal_images_stay_in_their_order():
    rng = np.random.default_rng(2)
    one, kinds, kind = (
        rng.normal(size=(13, 32)),
        rng.normal(size=(5, 32)),
        rng.integers(5, size=300),
    )
    cosine = (one @ kinds.T) / np.linalg.norm(kinds, axis=1)
    expected = [np.lexsort((np.arange(300), -row[kind])) for row in cosine]
    np.testing.assert_array_equal(nearest(one, kinds[kind], 300), expected)


def test_a_zero_vector_is_far_from_none():
    found = nearest(np.zeros((1, 3)), np.eye(3), 3)
    assert found.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("candidates", [0, 3])
def test_no_generated_image_is_named(candidates):
    real, _ = vectors(2, 1)
    config = Config(pairing="nearest", candidates=candidates)
    material = EncodedImages(None, None, real.pooled, config)
    with pytest.raises(UserError, match="no generated image to pair with"):
        partners(material, np.arange(2), np.arange(0), (real.centre, real.centre), seed=0)
