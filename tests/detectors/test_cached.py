import dataclasses

import numpy as np
import pandas as pd
import pytest

from ganfp_tf.detectors.cached import Fixed


@dataclasses.dataclass
class Counting:
    name: str = "counting"
    title: str = "counts what it is asked"
    uses_labels: bool = False
    asked: list = dataclasses.field(default_factory=list)

    def score(self, candidates, generated, store):
        self.asked.append(len(candidates))
        return candidates["digest"].str.len().to_numpy(float) + len(generated)


def rows(*digests, patient="p"):
    return pd.DataFrame({"digest": digests, "patient": patient})


def test_each_image_is_scored_once_for_each_set_of_generated_images():
    detector = Counting()
    fixed = Fixed(detector)
    made = rows("g", "h")
    assert fixed.score(rows("a", "bb"), made, None).tolist() == [3.0, 4.0]
    assert fixed.score(rows("bb", "ccc", "a"), made, None).tolist() == [4.0, 5.0, 3.0]
    assert detector.asked == [2, 1]
    assert fixed.score(rows("a"), rows("g"), None).tolist() == [2.0]
    # The order of the generated images is no other set.
    fixed.score(rows("a"), rows("h", "g"), None)
    assert detector.asked == [2, 1, 1]


def test_one_content_of_two_patients_is_two_images():
    detector = Counting()
    fixed = Fixed(detector)
    fixed.score(rows("a", patient="p"), rows("g"), None)
    fixed.score(rows("a", patient="q"), rows("g"), None)
    assert detector.asked == [1, 1]


def test_fit_changes_nothing_and_names_are_those_of_the_detector():
    fixed = Fixed(Counting())
    assert fixed.fit(rows("a"), rows("g"), None) is fixed
    assert (fixed.name, fixed.title, fixed.uses_labels) == (
        "counting",
        "counts what it is asked",
        False,
    )
    assert np.isfinite(fixed.score(rows("a"), rows("g"), None)).all()


def test_a_detector_that_uses_labels_is_refused():
    with pytest.raises(ValueError, match="counting uses labels: it must be fitted for every fold"):
        Fixed(Counting(uses_labels=True))
