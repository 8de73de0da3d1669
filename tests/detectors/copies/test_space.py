"""The network that knows copies as a space and as a detector."""

import dataclasses
import pathlib
import random

import numpy as np
import pytest

from ganfp_tf.data.copy_augmentation import Recipe
from ganfp_tf.detectors.attacks.distance import CalibratedDistance, NearestDistance
from ganfp_tf.detectors.attacks.hits import HitCount
from ganfp_tf.detectors.copies.comparator import CopyComparator
from ganfp_tf.detectors.copies.space import CopySpace, TrainedCopySpace
from ganfp_tf.detectors.spaces.base import LearnedSpace
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.distances import distance_rows
from ganfp_tf.siamese import copy_training
from ganfp_tf.statistics.metrics import auc
from tests.detectors.attacks.test_distance import generated_images, images
from tests.helpers import pictures

SHORT = CopySpace(recipe=(("steps", 2), ("block", 4), ("blocks", 1)), width=8, heads=2)


def opened(rng_seed=0, **arguments):
    """Planted copies, in a store with a side and without a folder."""
    store, real, generated, labels = pictures.planted(np.random.default_rng(rng_seed), **arguments)
    store.side, store.folder = 32, None
    return store, real, generated, labels


@pytest.fixture
def planted():
    return opened()


@pytest.fixture
def trainings(monkeypatch):
    """Arguments of every training; none takes place."""
    calls = []

    def train(networks, backbone, real, generated, groups, recipe, **rest):
        calls.append(
            {"real": real, "generated": generated, "groups": groups, "recipe": recipe, **rest}
        )

    monkeypatch.setattr(copy_training, "train", train)
    return calls


# Learning


def test_a_network_is_trained_once_for_all_detectors_of_a_store(planted, trainings):
    store, real, generated, _ = planted
    detectors = [make(SHORT) for make in (NearestDistance, CalibratedDistance, HitCount)]
    fitted = [detector.fit(real, generated, store) for detector in detectors]
    again = pictures.shuffled(real, 1), pictures.shuffled(generated, 2)
    fitted += [
        CopyComparator(SHORT, calibrated=calibrated).fit(*again, store)
        for calibrated in (True, False)
    ]
    assert len(trainings) == 1
    assert len({id(each.space) for each in fitted}) == 1
    for each in fitted:
        assert np.isfinite(each.score(real, generated[:9], store)).all()
        # Each goes on with what it has learned, for other generated images too.
        assert each.fit(real, generated[:9], store).space is each.space
    assert len(trainings) == 1
    # Once for the training, once for the tokens of what is scored.
    assert len(store.asked) == len(real) + len(generated) + len(real) + 9


@pytest.mark.parametrize(
    "change", [{"recipe": (("steps", 3),)}, {"width": 4}, {"cross_attention": False}]
)
def test_other_settings_are_another_network(planted, trainings, change):
    store, real, generated, _ = planted
    first = SHORT.learn(real, generated, store)
    other = dataclasses.replace(SHORT, **change).learn(real, generated, store)
    assert len(trainings) == 2
    assert other.key != first.key


def test_other_images_are_another_network(planted, trainings):
    store, real, generated, _ = planted
    keys = {
        SHORT.learn(*frames, store).key
        for frames in ((real, generated), (real[1:], generated), (real, generated[1:]))
    }
    assert len(trainings) == len(keys) == 3


def test_what_training_is_given(planted, trainings, tmp_path):
    store, real, generated, _ = planted
    store.folder = str(tmp_path)
    real["patient"] = [f"p{number // 2}" for number in range(len(real))]
    found = SHORT.learn(real, generated, store)
    (call,) = trainings
    in_order = real.sort_values("digest")
    expected = store.pixels(in_order).reshape(-1, 32, 32)
    np.testing.assert_array_equal(call["real"], expected)
    same = in_order["patient"].to_numpy()[:, None] == in_order["patient"].to_numpy()
    np.testing.assert_array_equal(call["groups"][:, None] == call["groups"], same)
    assert call["generated"].shape == (len(generated), 32, 32)
    assert call["recipe"] == Recipe(steps=2, block=4, blocks=1)
    assert call["folder"] == pathlib.Path(tmp_path) / found.key


def test_equal_files_are_learned_from_once(planted, trainings):
    store, real, generated, _ = planted
    SHORT.learn(real.loc[[0, *real.index]], generated.loc[[*generated.index, 3]], store)
    (call,) = trainings
    assert len(call["real"]) == len(real)
    assert len(call["generated"]) == len(generated)


def test_it_begins_with_the_seed_alone_and_looks_at_no_label(trainings):
    tokens = []
    for state in (1, 2):
        store, real, generated, _ = opened()
        random.seed(state)
        np.random.seed(state)  # noqa: NPY002, which Keras may draw from
        real, generated = (frame.drop(columns="label") for frame in (real, generated))
        tokens.append(SHORT.learn(real[::-1], generated, store).tokens(real, store))
    np.testing.assert_array_equal(*tokens)
    other = dataclasses.replace(SHORT, recipe=(("seed", 1),)).learn(real, generated, store)
    assert not np.allclose(other.tokens(real, store), tokens[0])


# The space


def space_of(*frames, networks=None):
    """A trained space whose tokens are the vectors that the digests say."""
    found = TrainedCopySpace(networks, 32, "key")
    for frame in frames:
        for digest in frame["digest"]:
            vector = np.array([float(x) for x in digest.split()], "float32")
            found._tokens.rows[digest] = vector.reshape(-1, 2)
    return found


def test_only_what_is_not_trained_learns():
    assert isinstance(SHORT, LearnedSpace)
    assert not isinstance(TrainedCopySpace(None, 32, "key"), LearnedSpace)


def test_distances_are_the_root_of_1_minus_the_cosine_each_domain_centred():
    real = images([[1, 1, 0, 0], [3, 1, 0, 0], [2, 1, 3, 0], [2, 1, -3, 0]])
    made = generated_images([[5, 6, 5, 5], [5, 4, 5, 5], [7, 5, 5, 5], [3, 5, 5, 5]])
    vectors = space_of(real, made).fit(real, made, None)
    # Less the means (2, 1, 0, 0) and (5, 5, 5, 5).
    a = np.array([[-1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, -1, 0]])
    b = np.array([[0, 1, 0, 0], [0, -1, 0, 0], [1, 0, 0, 0], [-1, 0, 0, 0]])
    ((_, found),) = distance_rows(vectors.real(real), vectors.generated(made))
    assert found == pytest.approx(np.sqrt(1.0 - a @ b.T), abs=1e-6)
    ((_, found),) = distance_rows(vectors.real(real), vectors.real(real))
    assert found == pytest.approx(np.sqrt(1.0 - a @ a.T), abs=1e-3)


def test_a_real_image_that_repeats_does_not_move_the_centre():
    real, made = images([[1, 1], [3, 2], [0, 4]]), generated_images([[1, 0], [0, 1]])
    space = space_of(real, made)
    once = space.fit(real, made, None).real(real)
    twice = space.fit(real.loc[[0, 0, 1, 2]], made, None).real(real)
    np.testing.assert_array_equal(once, twice)


def test_an_image_at_the_centre_has_no_direction_and_stays_finite():
    real, made = images([[1, 1], [2, 2], [0, 0]]), generated_images([[1, 0], [0, 1]])
    found = space_of(real, made).fit(real, made, None).real(real)
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(0.0)


def test_each_content_passes_the_network_once(planted, monkeypatch):
    store, real, _, _ = planted
    seen = []

    def encode(networks, pixels):
        seen.append(len(pixels))
        return pixels.mean(axis=2, keepdims=True)

    monkeypatch.setattr(copy_training, "encode", encode)
    space = TrainedCopySpace(None, 32, "key")
    tokens = space.tokens(real.loc[[3, 5, 3]], store)
    assert tokens.shape == (3, 32, 1)
    expected = store.pixels(real.loc[[3, 5, 3]]).reshape(3, 32, 32).mean(axis=2)
    np.testing.assert_array_equal(tokens[..., 0], expected)
    space.tokens(real.loc[[5, 6]], store)
    assert seen == [2, 1]


# The comparator


@dataclasses.dataclass
class Products(pictures.PairsOfTokens):
    """Networks whose logit is the product of the tokens; counts the pairs."""

    pairs: int = 0

    def pair(self, real, generated):
        self.pairs += len(real)
        return (real * generated).sum(axis=(1, 2))


REAL = images([[3, 0], [2, 1], [0, 3], [-5, -4]], ["p0", "p0", "p1", "p2"])
MADE = generated_images([[1, 0], [0, 1], [-1, -1]])


def compared(calibrated=True, reference=REAL, candidates=REAL, made=MADE, **arguments):
    space = space_of(reference, candidates, made, networks=Products())
    detector = CopyComparator(space, calibrated=calibrated, **{"candidates": 2, **arguments})
    return detector.fit(reference, made, None).score(candidates, made, None)


def test_scores_by_hand():
    # All means are 0. By cosine, (3, 0) and (0, 3) retrieve the first two, with logits 3 and 0;
    # (2, 1) too, with 2 and 1; (-5, -4) the third one with 9 and then the second with -4.
    assert compared(calibrated=False, k=2) == pytest.approx([1.5, 1.5, 1.5, 2.5])
    assert compared(calibrated=False, k=1) == pytest.approx([3, 2, 3, 9])


def test_calibrated_scores_by_hand_leave_out_the_own_patient():
    # (3, 0) meets (0, 3) with 0 and (-5, -4) with -15, not (2, 1) with 6; (2, 1) meets them with 3
    # and -14; (0, 3) meets (2, 1) with 3 and (3, 0) with 0; (-5, -4) meets (0, 3) with -12 and
    # (3, 0) with -15, as (2, 1) is farther.
    assert compared(k=2) == pytest.approx([1.5 + 7.5, 1.5 + 5.5, 1.5 - 1.5, 2.5 + 13.5])
    assert compared(k=1) == pytest.approx([3 - 0, 2 - 3, 3 - 3, 9 + 12])


def test_the_reference_is_of_fit_alone():
    reference = images([[3, 0], [0, 3], [-3, -3]], ["p0", "p1", "p2"])
    x = images([[0, 3], [5, 4]], ["p1", "p3"])
    arguments = {"k": 2, "reference": reference, "candidates": x}
    # (0, 3) meets (3, 0) with 0 and (-3, -3) with -9, not (5, 4), which is nearer; (5, 4) meets
    # (3, 0) with 15 and (0, 3) with 12.
    own = compared(calibrated=False, **arguments)
    assert own - compared(**arguments) == pytest.approx([-4.5, 13.5])


def test_neither_order_nor_labels_nor_copies_of_a_file_matter():
    expected = compared(k=2)
    real, made = pictures.shuffled(REAL, 1), pictures.shuffled(MADE, 2)
    found = compared(k=2, reference=real.loc[[*real.index, 1]], candidates=real, made=made)
    np.testing.assert_array_equal(found, expected[real.index])


def test_one_patient_alone_is_a_mistake():
    with pytest.raises(UserError, match="hand in real images of at least two patients"):
        compared(reference=REAL[:2], candidates=REAL[:2])
    assert np.isfinite(compared(False, reference=REAL[:2], candidates=REAL[:2])).all()
    # A candidate of another patient has somebody to be compared with.
    assert np.isfinite(compared(reference=REAL[:2], candidates=REAL[2:])).all()


def test_only_candidates_are_compared():
    space = space_of(REAL, MADE, networks=Products())
    fitted = CopyComparator(space, candidates=2).fit(REAL, MADE, None)
    found = fitted.score(REAL[2:3], MADE, None)
    assert found.shape == (1,)
    assert found.dtype == np.float64
    assert space.networks.pairs == 4


def test_no_generated_image_and_no_fit_are_mistakes():
    with pytest.raises(UserError, match="Expected at least 1 generated image, found none"):
        compared(made=MADE[:0])
    with pytest.raises(ValueError, match=r"after fit\(\) only"):
        CopyComparator().score(REAL, MADE, None)
    names = {CopyComparator().name, CopyComparator(calibrated=False).name}
    assert names == {"comparator_calibrated", "comparator"}
    assert not CopyComparator().uses_labels


def test_planted_copies_are_found():
    """By embedding and comparator of one short training."""
    store, real, generated, labels = opened(count=24, copies=3)
    recipe = {"steps": 60, "block": 6, "blocks": 2, "learning_rate": 5e-3}
    space = CopySpace(recipe=tuple(recipe.items()), width=8, heads=2)
    detectors = [CopyComparator(space, calibrated=c) for c in (True, False)]
    for detector in (*detectors, NearestDistance(space), HitCount(space)):
        scores = detector.fit(real, generated, store).score(real, generated, store)
        assert auc(labels, scores) > 0.9, detector.name
    assert len(store.kept) == 1
