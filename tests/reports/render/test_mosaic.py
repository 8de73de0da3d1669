"""Where the images of a grid stand."""

import io

import numpy as np
import pytest

from ganfp_tf.reports.render import canvas, mosaic


def page(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def test_images_stand_in_rows_with_a_white_line_between():
    images = np.arange(5, dtype="uint8")[:, None, None] + np.zeros((5, 2, 3), "uint8")
    found = page(mosaic.grid(images, columns=3, title="t"))
    expected = [
        [0, 0, 0, 255, 1, 1, 1, 255, 2, 2, 2],
        [0, 0, 0, 255, 1, 1, 1, 255, 2, 2, 2],
        [255] * 11,
        [3, 3, 3, 255, 4, 4, 4, 255, 255, 255, 255],
        [3, 3, 3, 255, 4, 4, 4, 255, 255, 255, 255],
    ]
    np.testing.assert_array_equal(found, expected)


def test_each_image_keeps_its_pixels():
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 5)).astype("uint8")
    found = page(mosaic.grid(images, columns=2, title="t"))
    assert found.shape == (11, 11)
    for number, (top, left) in enumerate([(0, 0), (0, 6), (6, 0), (6, 6)]):
        np.testing.assert_array_equal(found[top : top + 5, left : left + 5], images[number])


@pytest.mark.parametrize(("count", "height"), [(1, 8), (8, 8), (9, 17)])
def test_there_are_as_many_rows_as_needed(count, height):
    images = np.zeros((count, 8, 8), "uint8")
    assert page(mosaic.grid(images, columns=8, title="t")).shape == (height, 71)


def test_shades_are_absolute_and_gray():
    figure = mosaic.grid(np.full((4, 32, 32), 100, "uint8"), columns=2, title="flat")
    picture = canvas.to_rgb(figure)
    middle = picture[picture.shape[0] // 3, picture.shape[1] // 4]
    assert middle.tolist() == [100, 100, 100]
    assert figure.axes[0].get_title() == "flat"


def test_the_same_images_give_the_same_bytes():
    images = np.random.default_rng(1).integers(0, 256, (3, 16, 16)).astype("uint8")
    pictures = []
    for _ in range(2):
        stream = io.BytesIO()
        canvas.write_png(mosaic.grid(images, columns=2, title="t"), stream)
        pictures.append(stream.getvalue())
    assert pictures[0] == pictures[1]
