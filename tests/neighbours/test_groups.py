"""Which images are one patient: shared names, shared contents, and chains of both."""

import pandas as pd
import pytest

from ganfp_tf.neighbours.groups import Pool


def images(*rows):
    """Rows of (digest, patient)."""
    digests, patients = zip(*rows, strict=True)
    return pd.DataFrame({"path": [*digests], "digest": [*digests], "patient": [*patients]})


def groups(pool):
    """Contents of each group, as a set of strings."""
    found = pool.unique["digest"].groupby(pool.groups).agg("".join)
    return {"".join(sorted(group)) for group in found}


def test_each_content_is_kept_once_in_the_order_of_digests():
    pool = Pool.of(images(("c", "p"), ("a", "q"), ("c", "p")), images(("b", "r"), ("a", "q")))
    assert pool.unique["digest"].tolist() == ["a", "b", "c"]
    assert pool.rows.tolist() == [2, 0, 2]
    assert pool.in_reference.tolist() == [True, True, False]


def test_images_of_a_patient_are_one_group():
    pool = Pool.of(images(("a", "p"), ("b", "p")), images(("c", "q")))
    assert groups(pool) == {"ab", "c"}


def test_patients_that_share_a_content_are_one_group():
    # a-b by p, b-c by q, c-d by r: b and c are each of two patients.
    candidates = images(("a", "p"), ("b", "p"), ("b", "q"), ("e", "s"))
    pool = Pool.of(candidates, images(("c", "q"), ("c", "r"), ("d", "r")))
    assert groups(pool) == {"abcd", "e"}


def test_images_without_a_patient_are_patients_of_their_own():
    pool = Pool.of(images(("a", ""), ("b", "")), images(("b", ""), ("c", "")))
    assert groups(pool) == {"a", "b", "c"}


@pytest.mark.parametrize("seed", range(3))
def test_groups_do_not_depend_on_the_order(seed):
    candidates = images(("a", "p"), ("b", "p"), ("b", "q"), ("e", "s"), ("f", ""))
    reference = images(("c", "q"), ("c", "r"), ("d", "r"))
    expected = Pool.of(candidates, reference)
    shuffled = candidates.sample(frac=1.0, random_state=seed)
    found = Pool.of(shuffled, reference)
    assert groups(found) == groups(expected)
    assert found.unique["digest"].tolist() == expected.unique["digest"].tolist()
    assert found.rows.tolist() == expected.rows[shuffled.index].tolist()
