"""The graph path and the reader must agree, or a model sees other pixels than were checked."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ganfp_tf.data import decode, images
from ganfp_tf.data import encode as embed
from ganfp_tf.data.images import DEFAULT_READER, ImageReader
from tests.data.test_images import GRAY, encode, raw_png
from tests.helpers.broken_inputs import dicom_bytes, npy_bytes, png_bytes

RNG = np.random.default_rng(11)
# Smooth colours with some noise: JPEG of pure noise would be all rounding.
RAMP = np.stack(np.meshgrid(np.linspace(0, 255, 37), np.linspace(255, 0, 27)), axis=-1)
COLOUR = np.concatenate([RAMP, RAMP.mean(-1, keepdims=True)], -1)
COLOUR = np.clip(COLOUR + RNG.normal(0, 20, COLOUR.shape), 0, 255).astype(np.uint8)
RGB = Image.fromarray(COLOUR)
LUMA = RGB.convert("L")
ALPHA = Image.fromarray(RNG.integers(0, 256, (27, 37), np.uint8))


def png16_rgb(alpha):
    """A PNG of 16-bit colour; Pillow cannot write one, TensorFlow can."""
    samples = RNG.integers(0, 65536, (12, 16, 4 if alpha else 3), np.uint16)
    return tf.io.encode_png(samples).numpy(), samples[..., :3] / 257.0


def with_alpha(image):
    image = image.copy()
    image.putalpha(ALPHA)
    return image


PNG = {
    **{f"gray{d}": raw_png(RNG.integers(0, 2**d, (12, 19)), d, 0) for d in (1, 2, 4, 8, 16)},
    **{
        f"palette{d}": raw_png(
            RNG.integers(0, 2**d, (12, 19)), d, 3, RNG.integers(0, 256, (2**d, 3))
        )
        for d in (1, 2, 4, 8)
    },
    "interlaced": raw_png(RNG.integers(0, 256, (12, 19)), 8, 0, interlaced=True),
    "interlaced palette": raw_png(
        RNG.integers(0, 4, (12, 19)), 2, 3, RNG.integers(0, 256, (4, 3)), interlaced=True
    ),
    "rgb": encode(RGB, "PNG"),
    "rgba": encode(with_alpha(RGB), "PNG"),
    "gray and alpha": encode(with_alpha(LUMA), "PNG"),
    "palette with alpha": encode(RGB.quantize(16), "PNG", transparency=bytes(range(16))),
    "palette with one clear colour": encode(RGB.quantize(16), "PNG", transparency=3),
    "gray with a clear value": encode(LUMA, "PNG", transparency=100),
    "rgb with a clear colour": encode(RGB, "PNG", transparency=tuple(COLOUR[0, 0].tolist())),
    "orientation": encode(
        RGB, "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    ),
}
JPEG = {
    "gray": encode(LUMA, "JPEG", quality=90),
    "444": encode(RGB, "JPEG", quality=90, subsampling="4:4:4"),
    "422": encode(RGB, "JPEG", quality=90, subsampling="4:2:2"),
    "420": encode(RGB, "JPEG", quality=75, subsampling="4:2:0"),
    "progressive": encode(RGB, "JPEG", progressive=True),
    "stored as rgb": encode(RGB, "JPEG", keep_rgb=True),
    "trailing bytes": encode(RGB, "JPEG") + bytes(100),
    "turned by EXIF": encode(
        RGB, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    ),
}


@pytest.mark.parametrize("kind", PNG)
def test_png_agrees(kind):
    assert images.is_fast(PNG[kind])
    got = decode.decode_encoded(tf.constant(PNG[kind])).numpy()
    np.testing.assert_allclose(got, DEFAULT_READER.decode(PNG[kind]), atol=0.01)


@pytest.mark.parametrize("kind", JPEG)
def test_jpeg_agrees(kind):
    assert images.is_fast(JPEG[kind])
    got = decode.decode_encoded(tf.constant(JPEG[kind])).numpy()
    np.testing.assert_allclose(got, DEFAULT_READER.decode(JPEG[kind]), atol=1)


@pytest.mark.parametrize("alpha", [False, True])
def test_png_of_16_bit_colour(alpha):
    data, expected = png16_rgb(alpha)
    got = decode.decode_encoded(tf.constant(data)).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-3)
    np.testing.assert_allclose(got, DEFAULT_READER.decode(data), atol=1)


def test_load_image_in_a_dataset(tmp_path):
    files = {
        "a.png": png_bytes(1),
        "b.jpg": JPEG["420"],
        "ü,.npy": npy_bytes(GRAY),
        "c.dcm": dicom_bytes(GRAY.astype(np.int16)),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = [str(tmp_path / name) for name in files]
    fast = [images.is_fast(data) for data in files.values()]
    assert fast == [True, True, False, False]
    dataset = tf.data.Dataset.from_tensor_slices((paths, fast)).map(
        lambda path, fast: decode.load_image(path, fast, ImageReader(window=(100, 200))),
        num_parallel_calls=2,
    )
    assert dataset.element_spec.shape.as_list() == [None, None, 3]
    for got, path in zip(dataset, paths, strict=True):
        expected = ImageReader(window=(100, 200)).read(path)
        np.testing.assert_allclose(got, expected, atol=1)


def operations(dataset):
    """Names of the operations in the functions of a dataset's graph."""
    graph = dataset._as_serialized_graph(strip_device_assignment=True).numpy()
    functions = tf.compat.v1.GraphDef.FromString(graph).library.function
    return {node.op for function in functions for node in function.node_def}


def test_no_way_through_python_is_built_where_all_are_fast(tmp_path):
    for name, data in (("a.png", png_bytes(1)), ("b.jpg", JPEG["420"]), ("c.npy", npy_bytes(GRAY))):
        (tmp_path / name).write_bytes(data)
    paths = [str(tmp_path / name) for name in ("a.png", "b.jpg", "c.npy")]
    fast = embed.image_dataset({"path": paths[:2], "fast": [True, True]}, 8)
    mixed = embed.image_dataset({"path": paths, "fast": [True, True, False]}, 8)
    assert operations(fast) & {"DecodePng", "DecodeJpeg"}
    assert not operations(fast) & {"PyFunc", "PyFuncStateless"}
    for got, expected in zip(fast, mixed, strict=False):
        np.testing.assert_array_equal(got, expected)
    # One that keeps a state would be run for one image after another under op determinism.
    assert "PyFuncStateless" in operations(mixed)
    assert "PyFunc" not in operations(mixed)
    np.testing.assert_allclose(list(mixed)[2], decode.resize(DEFAULT_READER.read(paths[2]), 8))


def test_load_image_names_a_file_that_went_bad(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(b"text")
    with pytest.raises(images.ImageError, match=r"x\.npy: not an image: text"):
        decode.load_image(tf.constant(str(path)), tf.constant(False))
    dataset = tf.data.Dataset.from_tensors((str(path), False)).map(decode.load_image)
    with pytest.raises(tf.errors.OpError, match=r"x\.npy: not an image: text"):
        next(iter(dataset))


def test_resize_keeps_constant_images_and_range():
    flat = tf.fill((2, 33, 20, 3), 255.0)
    resized = decode.resize(flat, 8)
    assert resized.shape == (2, 8, 8, 3)
    assert resized.dtype == tf.float32
    np.testing.assert_allclose(resized, 255.0, atol=1e-3)
    assert tf.reduce_max(resized) <= 255.0


@pytest.mark.parametrize("size", [16, 27, 37, 40, 100])
@pytest.mark.parametrize("known", [True, False], ids=["known shape", "unknown shape"])
def test_resize_leaves_out_antialiasing_only_where_it_does_nothing(size, known):
    image = COLOUR.astype(np.float32)  # 27 x 37
    shape = image.shape if known else (None, None, 3)
    resize = tf.function(lambda x: decode.resize(x, size), [tf.TensorSpec(shape, tf.float32)])
    expected = tf.image.resize(image, (size, size), method="bilinear", antialias=True)
    np.testing.assert_allclose(resize(image), np.clip(expected, 0, 255), rtol=0, atol=1e-4)


def test_resize_gives_back_an_image_of_the_size_asked_for():
    square = RNG.uniform(0, 255, (21, 21, 3)).astype(np.float32)
    np.testing.assert_array_equal(decode.resize(square, 21), square)


def test_resize_averages_what_it_shrinks():
    # Antialiasing: a checkerboard of single pixels becomes gray, not one of its two colours.
    board = np.indices((64, 64)).sum(0) % 2 * 255.0
    resized = decode.resize(np.repeat(board[..., None], 3, 2).astype(np.float32), 8)
    assert resized.shape == (8, 8, 3)
    np.testing.assert_allclose(resized, 127.5, atol=3)


def test_resize_agrees_with_pillow():
    got = decode.resize(COLOUR.astype(np.float32), 16).numpy()
    expected = RGB.resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(got, np.asarray(expected, np.float32), atol=1)
