"""Detectors by distance: numbers by hand, planted copies, and the two victims."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganfp_tf.data.catalog import load_catalog
from ganfp_tf.data.pixels import PixelStore
from ganfp_tf.detectors.attacks.distance import CalibratedDistance, NearestDistance
from ganfp_tf.detectors.attacks.hits import HitCount
from ganfp_tf.detectors.controls.blind_distance import BlindDistance
from ganfp_tf.detectors.registry import DETECTORS, make_detector
from ganfp_tf.errors import UserError
from ganfp_tf.neighbours.nearest import FLOOR
from ganfp_tf.statistics.metrics import auc

# Those that take vectors as they are: a vector has no picture that could be smoothed.
NAMES = ("nearest_pixels", "calibrated_pixels", "hits_pixels", "blind_pixels")


class Vectors:
    """A store whose images are vectors: their digest is what they are."""

    def pixels(self, frame):
        return np.array([[float(x) for x in d.split()] for d in frame["digest"]], "float32")


STORE = Vectors()


def images(vectors, patients=None, role="real"):
    """Rows of a Catalog for vectors `(n, d)` or numbers `(n,)`."""
    vectors = np.asarray(vectors, dtype=float).reshape(len(vectors), -1)
    names = [f"{role}_{number}" for number in range(len(vectors))]
    digests = [" ".join(repr(float(x)) for x in vector) for vector in vectors]
    return pd.DataFrame(
        {
            "path": names,
            "name": names,
            "role": role,
            "label": -1,
            "part": "",
            "digest": digests,
            "patient": names if patients is None else patients,
        }
    )


def generated_images(vectors):
    return images(vectors, [""] * len(vectors), role="generated")


def scored(detector, candidates, generated, reference=None):
    fitted = detector.fit(candidates if reference is None else reference, generated, STORE)
    return fitted.score(candidates, generated, STORE)


X = images([0.5], ["p0"])
GENERATED = generated_images([0.0, 0.1, 0.3])
REFERENCE = images([0.5, 0.9, 0.7, 0.0], ["p0", "p0", "p1", "p2"])


def test_nearest_is_minus_the_log_of_the_mean_of_k_distances():
    assert scored(NearestDistance(k=2), X, GENERATED) == pytest.approx(-np.log(0.3), abs=1e-6)


def test_fewer_generated_images_than_k_are_all_used():
    assert scored(NearestDistance(), X, GENERATED) == pytest.approx(-np.log(1.1 / 3), abs=1e-6)


def test_calibrated_leaves_out_the_image_itself_and_its_patient():
    # Left are 0.7 and 0.0, at 0.2 and 0.5.
    found = scored(CalibratedDistance(k=2), X, GENERATED, REFERENCE)
    assert found == pytest.approx(np.log(0.35 / 0.3), abs=1e-6)
    found = scored(CalibratedDistance(), X, GENERATED, REFERENCE)
    assert found == pytest.approx(np.log(0.35 / (1.1 / 3)), abs=1e-6)


def test_blind_is_the_calibrated_score_without_generated_images():
    for generated in (GENERATED, GENERATED[:0]):
        found = scored(BlindDistance(k=2), X, generated, REFERENCE)
        assert found == pytest.approx(np.log(0.35), abs=1e-6)


def test_hits_against_hubness():
    # 0.2 lies midway: half a hit each. Nearest real image of 0 is 0.4, of 0.4 is 0, of 1 is 0.4.
    real = images([0.0, 0.4, 1.0])
    generated = generated_images([0.1, 0.05, 0.2, 0.9])
    hits, hubs = np.array([2.5, 0.5, 1.0]), np.array([1.0, 2.0, 0.0])
    expected = 4 * (hubs + 1) / 6
    found = scored(HitCount(k=1), real, generated)
    assert found == pytest.approx(np.log((hits + 1) / (expected + 1)), abs=1e-6)


def test_images_of_fit_take_hits_too():
    generated = generated_images([0.1, 0.2, 0.9])
    alone = scored(HitCount(k=1), images([0.0]), generated, images([0.0]))
    beside = scored(HitCount(k=1), images([0.0]), generated, images([0.0, 1.0]))
    # Three hits of three expected; two hits of 1.5 expected.
    assert alone == pytest.approx(0.0)
    assert beside == pytest.approx(np.log(3 / 2.5))


@pytest.mark.parametrize("name", ["calibrated_pixels", "blind_pixels"])
def test_another_image_of_the_patient_changes_nothing(name):
    near = images([0.51, 0.7, 0.0], ["p0", "p1", "p2"])
    without = scored(make_detector(name), X, GENERATED, near[1:])
    assert scored(make_detector(name), X, GENERATED, near) == pytest.approx(without)


def test_images_of_a_patient_are_no_hubs_to_each_other():
    # Image 1 is nearest to image 0, but of its patient: image 0 votes for image 2.
    real = images([0.0, 0.1, 0.5], ["a", "a", "b"])
    found = scored(HitCount(k=1), real, generated_images([0.5]))
    hubs = np.array([0, 1, 2])
    expected = (hubs + 1) / 6
    assert found == pytest.approx(np.log((np.array([0, 0, 1]) + 1) / (expected + 1)))


def test_patients_who_share_an_image_count_as_one():
    shared = images([0.5, 0.5, 0.6, 0.1], ["p0", "p1", "p1", "p2"])
    # 0.6 belongs to p1, who has the image of p0: only 0.1 is left.
    found = scored(BlindDistance(), X, GENERATED, shared)
    assert found == pytest.approx(np.log(0.4), abs=1e-6)


def test_a_copy_scores_at_the_floor_and_equal_files_count_once_among_real_ones():
    assert scored(NearestDistance(k=1), X, generated_images([0.5])) == pytest.approx(-np.log(FLOOR))
    # Equal to an image of another patient, they are one patient's: the rest is compared with.
    twice = images([0.2, 0.2, 0.2, 0.8, 0.9])
    once = images([0.2, 0.8, 0.9])
    for name in NAMES:
        a, b = (scored(make_detector(name), frame, GENERATED) for frame in (twice, once))
        assert np.isfinite(a).all()
        assert a == pytest.approx(b[[0, 0, 0, 1, 2]])


def test_generated_images_that_repeat_are_evidence():
    once, twice = generated_images([0.5, 0.0]), generated_images([0.5, 0.5, 0.0])
    detector = NearestDistance(k=2)
    assert scored(detector, X, twice)[0] > scored(detector, X, once)[0] + 1


@pytest.mark.parametrize("name", NAMES)
def test_one_image_of_each_is_enough(name):
    assert np.isfinite(scored(make_detector(name), images([0.2, 0.9]), X)).all()


coordinates = st.integers(0, 3).map(lambda value: value / 3)
vectors = st.lists(st.tuples(coordinates, coordinates), min_size=2, max_size=8)


@given(
    vectors.filter(lambda found: len(set(found)) > 1),
    vectors,
    st.sampled_from(NAMES),
    st.randoms(use_true_random=False),
)
def test_neither_order_nor_labels_matter(real, fakes, name, random):
    """Points of a 4x4 grid: ties and equal images abound."""
    real, fakes = images(real), generated_images(fakes)
    detector = make_detector(name)
    expected = scored(detector, real, fakes)
    assert expected.shape == (len(real),)
    assert expected.dtype == np.float64
    assert np.isfinite(expected).all()

    def shuffled(frame):
        return frame.iloc[random.sample(range(len(frame)), len(frame))].assign(
            label=[random.randint(0, 1) for _ in range(len(frame))]
        )

    candidates = shuffled(real)
    found = scored(detector, candidates, shuffled(fakes), shuffled(real))
    assert (found == expected[candidates.index]).all()


@pytest.mark.parametrize("name", NAMES)
def test_not_even_the_last_digit_depends_on_the_order(name):
    """Enough images for more than one block, whose sums round by their place in it."""
    rng = np.random.default_rng(0)
    real, fakes = images(rng.random((37, 61))), generated_images(rng.random((1100, 61)))
    detector = make_detector(name)
    candidates = real.sample(frac=1.0, random_state=1)
    found = scored(detector, candidates, fakes.sample(frac=1.0, random_state=2), candidates)
    assert (found == scored(detector, real, fakes)[candidates.index]).all()


def planted(rng, copied):
    """100 real images, 50 of them used; generated ones are near the used ones, or unrelated."""
    real = rng.random((100, 16))
    sources = np.repeat(real[:50], 8, axis=0) if copied else rng.random((400, 16))
    fakes = sources + rng.normal(0, 0.02, sources.shape)
    return images(real), generated_images(fakes), np.repeat([1, 0], 50)


@pytest.mark.parametrize("name", [name for name in NAMES if not DETECTORS[name].control])
def test_planted_copies_are_found(name):
    real, fakes, labels = planted(np.random.default_rng(0), copied=True)
    assert auc(labels, scored(make_detector(name), real, fakes)) == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_unrelated_images_say_nothing(name):
    """The mean of eight such data sets; the standard error of it is 0.02."""
    found = []
    for seed in range(8):
        real, fakes, labels = planted(np.random.default_rng(seed), copied=False)
        found.append(auc(labels, scored(make_detector(name), real, fakes)))
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_the_blind_control_does_not_see_planted_copies():
    real, fakes, labels = planted(np.random.default_rng(0), copied=True)
    # 0.5 within two standard errors of 50 against 50.
    assert auc(labels, scored(BlindDistance(), real, fakes)) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("name", [name for name in NAMES if not DETECTORS[name].control])
def test_no_generated_image_is_a_mistake(name):
    with pytest.raises(UserError, match="Expected at least 1 generated image, found none"):
        scored(make_detector(name), REFERENCE, GENERATED[:0])


@pytest.mark.parametrize("name", ["calibrated_pixels", "blind_pixels"])
def test_one_patient_alone_is_a_mistake(name):
    with pytest.raises(UserError, match=r"other patients\. Found none for real_0: hand in"):
        scored(make_detector(name), images([0.1, 0.2], ["p", "p"]), GENERATED)


@pytest.mark.parametrize("detector", [CalibratedDistance(), BlindDistance(), HitCount()])
def test_scoring_before_fitting_is_refused(detector):
    with pytest.raises(ValueError, match=r"after fit\(\) only"):
        detector.score(X, GENERATED, STORE)


TABLE = {  # ../shared/data/README.md, and its standard errors
    "victim_a": (0.041, {"nearest": 0.726, "calibrated": 0.849, "hits": 0.755, "blind": 0.456}),
    "victim_b": (0.024, {"nearest": 0.589, "calibrated": 0.646, "hits": 0.647, "blind": 0.467}),
}


@pytest.mark.data
@pytest.mark.parametrize("victim", ["victim_a", pytest.param("victim_b", marks=pytest.mark.slow)])
def test_the_victims_table_is_reproduced(shared_data, victim):
    """All real images of the victim against all generated ones of both parts."""
    folder = shared_data / victim
    frame = pd.concat(
        [load_catalog(folder, need=need, progress=False).frame for need in ("train", "predict")]
    )
    real, fakes = frame[frame.role == "real"], frame[frame.role == "generated"]
    truth = pd.read_csv(folder / "truth.csv").set_index("name")["label"]
    labels = real.label.where(real.label >= 0, real["name"].map(truth)).astype(int)
    real = real.assign(label=-1)
    store = PixelStore()
    error, table = TABLE[victim]
    for name, expected in table.items():
        detector = make_detector(f"{name}_pixels").fit(real, fakes, store)
        assert auc(labels, detector.score(real, fakes, store)) == pytest.approx(expected, abs=error)
