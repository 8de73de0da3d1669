"""Our networks with timm's tensors converted, beside timm: the same features on the same images.

    pip install -r requirements.txt -r requirements-parity.txt -r requirements-dev.txt
    python -m pytest -s tests/parity

Skipped without torch and timm. The golden file that the default tests read is written by
`python tests/parity/write_golden.py`.
"""

import numpy as np
import pytest
from safetensors.numpy import save_file

from ganfp_tf.models.backbones.build import build_backbone
from ganfp_tf.models.backbones.vit_b16 import resample_positions
from tests.helpers.timm_tensors import GOLDEN, images, relative

WHY = "needs torch and timm: pip install -r requirements-parity.txt"
references = pytest.importorskip("tests.helpers.references", reason=WHY)
write_golden = pytest.importorskip("tests.parity.write_golden", reason=WHY)

TOLERANCE = 1e-4


@pytest.mark.parametrize(
    ("name", "sides"), [("densenet161", (224, 97)), ("vit_b16", (224, 160, 288))]
)
def test_the_same_features(name, sides, tmp_path):
    """torch's own random weights; every scale and statistic its own number."""
    path = tmp_path / "model.safetensors"
    save_file(references.state_of(references.reference(name)), path)
    for side in sides:
        expected = references.tokens_of(name, references.reference(name, side=side), images(side))
        model, report = build_backbone(name, image_size=side, weights=str(path))
        found = model(images(side)).numpy()
        assert report.source == "model.safetensors"
        assert report.pretrained
        assert found.shape == expected.shape
        largest, ratio = relative(found, expected)
        print(
            f"\n{name} at {side} pixels: largest absolute difference {largest:.2e}, of the largest "
            f"feature ({np.abs(expected).max():.3g}) {ratio:.2e}"
        )
        # No constant: images and places differ by far more than the two networks do.
        assert expected.std(axis=(0, 1)).max() > 100 * largest
        assert ratio < TOLERANCE
    path.unlink()


@pytest.mark.parametrize("side", [2, 4, 7, 10, 13, 14, 15, 18, 24, 31])
def test_positions_are_interpolated_as_timm_does(side):
    positions = np.random.default_rng(0).normal(size=(1 + 14 * 14, 24)).astype("float32")
    expected = references.resampled(positions, side)
    # torch works out the kernel in single precision.
    np.testing.assert_allclose(resample_positions(positions, side), expected, rtol=0, atol=2e-5)


def test_the_golden_file_is_what_timm_says():
    stored, again = np.load(GOLDEN), write_golden.golden()
    assert set(stored.files) == set(again)
    for key, array in again.items():
        if key.startswith("names_"):
            assert stored[key] == array
        else:
            np.testing.assert_allclose(stored[key], array, rtol=0, atol=1e-5 * np.abs(array).max())
