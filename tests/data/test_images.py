import gzip
import io
import struct
import zlib

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import JPEGLSLossless

from ganfp_tf.data import formats, images
from ganfp_tf.data.formats import ImageError
from ganfp_tf.data.images import DEFAULT_READER
from tests.helpers.broken_inputs import bomb_bytes, dicom_bytes, nifti_bytes, npy_bytes, png_bytes

RNG = np.random.default_rng(7)
GRAY = RNG.integers(0, 256, (12, 16), np.uint8)
RGB = RNG.integers(0, 256, (12, 16, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (12, 16), np.uint16)


def encode(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


# Adam7 (PNG specification, section 8.2): first column, first row, column step, row step.
ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


def raw_png(samples, depth, color, palette=None, interlaced=False):
    """A PNG of one sample a pixel, written by hand because Pillow writes few depths."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    height, width = samples.shape
    lines = b""
    passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [samples]
    for row in (row for image in passes for row in image if row.size):
        bits = "".join(format(value, f"0{depth}b") for value in row)
        bits += "0" * (-len(bits) % 8)
        lines += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced))]
    if palette is not None:
        parts.append(chunk(b"PLTE", palette.astype(np.uint8).tobytes()))
    parts += [chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def expect(data, expected, **options):
    pixels = images.ImageReader(**options).decode(data)
    expected = np.asarray(expected, np.float64)
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=2)
    assert pixels.dtype == np.float32
    assert pixels.shape == expected.shape
    np.testing.assert_allclose(pixels, expected, atol=1e-3)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_gray_png_of_every_depth_spans_0_to_255(depth):
    samples = RNG.integers(0, 2**depth, (12, 19))
    expect(raw_png(samples, depth, 0), samples * (255.0 / (2**depth - 1)))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette_png_gives_colours_not_indices(depth):
    palette = RNG.integers(0, 256, (2**depth, 3))
    samples = RNG.integers(0, 2**depth, (12, 19))
    expect(raw_png(samples, depth, 3, palette), palette[samples])


def test_png_alpha_is_dropped():
    alpha = RNG.integers(0, 256, (12, 16, 1), np.uint8)
    expect(encode(Image.fromarray(np.concatenate([RGB, alpha], 2)), "PNG"), RGB)
    expect(encode(Image.fromarray(np.concatenate([GRAY[..., None], alpha], 2)), "PNG"), GRAY)


def test_palette_png_with_transparency_gives_its_colours():
    image = Image.fromarray(RGB).quantize(16)
    expected = np.asarray(image.convert("RGB"))
    expect(encode(image, "PNG", transparency=bytes(range(16))), expected)


def test_bmp_and_tiff():
    expect(encode(Image.fromarray(RGB), "BMP"), RGB)
    expect(encode(Image.fromarray(GRAY), "BMP"), GRAY)
    expect(encode(Image.fromarray(RGB), "TIFF", compression="tiff_lzw"), RGB)
    expect(encode(Image.fromarray(DEEP), "TIFF"), DEEP / 257.0)
    expect(encode(Image.fromarray(GRAY / np.float32(255.0)), "TIFF"), GRAY)


def test_tiff_reads_its_first_page():
    pages = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    expect(encode(pages[0], "TIFF", save_all=True, append_images=pages[1:]), GRAY)


def test_tiff_where_white_is_zero_is_inverted_at_16_bits():
    data = bytearray(encode(Image.fromarray(DEEP), "TIFF"))
    # Entry 262 (PhotometricInterpretation), SHORT, one value: 1 becomes 0.
    data[data.index(struct.pack("<HHI", 262, 3, 1)) + 8] = 0
    expect(bytes(data), (65535.0 - DEEP) / 257.0)


def test_float_tiff_outside_its_range_is_refused():
    with pytest.raises(ImageError, match="float32 values from -1000 to 0: expected uint8"):
        DEFAULT_READER.decode(
            encode(Image.fromarray(np.linspace(-1000, 0, 81).reshape(9, 9)), "TIFF")
        )


def test_jpeg_agrees_with_pillow():
    data = encode(Image.fromarray(RGB), "JPEG")
    expect(data, np.asarray(Image.open(io.BytesIO(data))))
    data = encode(Image.fromarray(GRAY), "JPEG", quality=100)
    np.testing.assert_allclose(DEFAULT_READER.decode(data)[..., 1], GRAY, atol=3)


def test_cmyk_jpeg_is_converted():
    flat = np.full((16, 16, 4), (0, 255, 255, 0), np.uint8)  # magenta and yellow: red
    pixels = DEFAULT_READER.decode(encode(Image.fromarray(flat, "CMYK"), "JPEG", quality=95))
    np.testing.assert_allclose(pixels[4, 4], (255, 0, 0), atol=4)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GRAY, GRAY),
        (GRAY[..., None], GRAY),
        (RGB, RGB),
        (np.asfortranarray(RGB), RGB),
        (DEEP, DEEP / 257.0),
        (DEEP.astype(">u2"), DEEP / 257.0),
        (GRAY > 99, (GRAY > 99) * 255.0),
        (GRAY / 255.0, GRAY),
        (GRAY.astype(np.float16), GRAY),
    ],
)
def test_npy(array, expected):
    expect(npy_bytes(array), expected)


def test_npy_header_with_an_absurd_shape_is_refused_before_memory_is_asked_for():
    data = npy_bytes(GRAY)
    with pytest.raises(ImageError, match="64 megapixels"):
        DEFAULT_READER.decode(data.replace(b"(12, 16), }           ", b"(999999, 999999), }   "))


def test_window_is_the_linear_function_of_dicom():
    # PS3.3 C.11.2.1.2.1 with c=10, w=5: black up to 7.5, white above 11.5, linear between.
    got = formats.apply_window([7, 7.5, 8.5, 9.5, 11.5, 12], 10, 5)
    np.testing.assert_allclose(got, [0, 0, 63.75, 127.5, 255, 255])
    # C.11.2.1.3.2 with c=0.5, w=1: the identity on [0, 1].
    np.testing.assert_allclose(formats.apply_window([0, 0.25, 2], 0.5, 1.0), [0, 63.75, 255])


def test_window_agrees_with_pydicom():
    values = RNG.integers(-1000, 1000, (12, 16)).astype(np.int16)
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(values, WindowCenter=-40, WindowWidth=400)))
    expected = pydicom.pixels.apply_windowing(dataset.pixel_array, dataset)
    low, high = -(2**15), 2**15 - 1  # pydicom's output range is the stored one
    expect(
        dicom_bytes(values, WindowCenter=-40, WindowWidth=400),
        (expected - low) * 255 / (high - low),
    )


CT = RNG.integers(0, 2000, (12, 16)).astype(np.int16)


def test_dicom_window_order():
    attributes = dict(RescaleSlope=2, RescaleIntercept=-1000)
    hounsfield = CT * 2.0 - 1000
    own = dict(attributes, WindowCenter=[40, 50], WindowWidth=[400, 1])
    expect(dicom_bytes(CT, **own), formats.apply_window(hounsfield, 40, 400))
    expect(dicom_bytes(CT, **own), formats.apply_window(hounsfield, 0, 99), window=(0, 99))
    expect(dicom_bytes(CT, **attributes), formats.apply_window(hounsfield, -600, 1500))
    expect(dicom_bytes(CT, Modality="MR"), formats.scale_range(CT))


def test_dicom_monochrome1_is_inverted():
    data = dicom_bytes(CT, Modality="MR", PhotometricInterpretation="MONOCHROME1")
    expect(data, 255.0 - formats.scale_range(CT))


def test_dicom_multi_frame_gives_the_middle_frame():
    frames = RNG.integers(0, 99, (5, 12, 16)).astype(np.int16)
    expect(dicom_bytes(frames, Modality="MR"), formats.scale_range(frames[2]))


def test_enhanced_dicom_keeps_its_values_in_functional_groups():
    transform = pydicom.Dataset()
    transform.RescaleSlope, transform.RescaleIntercept = 1, -1000
    window = pydicom.Dataset()
    window.WindowCenter, window.WindowWidth = 100, 300
    shared, frame = pydicom.Dataset(), pydicom.Dataset()
    shared.PixelValueTransformationSequence = [transform]
    frame.FrameVOILUTSequence = [window]
    data = dicom_bytes(
        CT[None],
        NumberOfFrames=1,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=[frame],
    )
    expect(data, formats.apply_window(CT - 1000.0, 100, 300))


def test_dicom_colour_is_taken_as_it_is():
    data = dicom_bytes(
        GRAY,
        PixelData=RGB.tobytes(),
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="RGB",
    )
    expect(data, RGB)


def test_dicom_without_preamble():
    data = dicom_bytes(CT, preamble=False, Modality="MR")
    assert data[128:132] != b"DICM"
    expect(data, formats.scale_range(CT))


def test_dicom_that_cannot_be_decompressed_says_so():
    encapsulated = pydicom.encaps.encapsulate([b"\xff\xd8" + bytes(38)])
    data = dicom_bytes(CT, syntax=JPEGLSLossless, PixelData=encapsulated)
    with pytest.raises(ImageError, match="cannot be decompressed \\(JPEG-LS Lossless"):
        DEFAULT_READER.decode(data)


VOLUME = RNG.integers(0, 999, (10, 12, 5)).astype(np.int16)


def upright(plane):
    """Rows from anterior to posterior, columns from the patient's right to the left."""
    return formats.scale_range(np.array(plane, float))[::-1, ::-1].T


def test_nifti_slices_and_window():
    data = nifti_bytes(VOLUME)
    expect(data, upright(VOLUME[:, :, 2]))
    expect(gzip.compress(data), upright(VOLUME[:, :, 4]), nifti_slice=4)
    windowed = formats.apply_window(VOLUME[::-1, ::-1, 0].T, 300, 200)
    expect(data, windowed, nifti_slice=0, window=(300, 200))


def test_nifti_corner_is_where_a_radiologist_expects_it():
    volume = np.zeros((8, 10, 3), np.int16)
    volume[7, 9, 1] = 100  # RAS: the largest x is rightmost, the largest y frontmost
    pixels = DEFAULT_READER.decode(nifti_bytes(volume))
    assert pixels.shape == (10, 8, 3)
    assert pixels[0, 0, 0] == 255
    assert pixels.sum() == 3 * 255


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flip", [(), (0,), (1, 2), (0, 1, 2)])
def test_nifti_orientation_does_not_change_the_picture(order, flip):
    """The same anatomy stored with other axes gives the same slice."""
    stored = np.transpose(VOLUME, order)
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, canonical in enumerate(order):
        affine[canonical, axis] = -1 if axis in flip else 1
    stored = np.flip(stored, flip)
    expect(
        nifti_bytes(np.ascontiguousarray(stored), affine), upright(VOLUME[:, :, 1]), nifti_slice=1
    )


def test_nifti_first_volume_and_scaling():
    series = np.stack([VOLUME, VOLUME[::-1]], axis=-1)
    expect(nifti_bytes(series), upright(VOLUME[:, :, 2]))
    expect(nifti_bytes(VOLUME[:, :, 0]), upright(VOLUME[:, :, 0]))


def test_values_beyond_the_range_of_numbers_are_refused():
    volume = np.full((9, 9, 3), -1.7e308)
    volume[0] = 1.7e308
    with pytest.raises(ImageError, match="NaN or infinite"):
        DEFAULT_READER.decode(nifti_bytes(volume))


def test_constant_images_are_allowed():
    expect(npy_bytes(np.full((9, 9), 7, np.uint8)), np.full((9, 9), 7))
    expect(nifti_bytes(np.full((9, 9, 3), 7, np.int16)), np.zeros((9, 9)))


@pytest.mark.parametrize(("width", "height"), [(7, 9), (9, 7), (73, 9), (9, 73)])
def test_sizes_that_are_refused(width, height):
    with pytest.raises(ImageError, match=f"{width}x{height} pixels"):
        DEFAULT_READER.decode(png_bytes(0, (width, height)))
    with pytest.raises(ImageError, match=f"{width}x{height} pixels"):
        DEFAULT_READER.decode(npy_bytes(np.zeros((height, width), np.uint8)))


def test_sizes_at_the_limit_are_read():
    assert DEFAULT_READER.decode(png_bytes(0, (64, 8))).shape == (8, 64, 3)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "load", refuse)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    with pytest.raises(ImageError, match="64 megapixels"):
        DEFAULT_READER.decode(bomb_bytes(9000, 9000))
    with pytest.raises(ImageError, match="decompression bomb"):
        DEFAULT_READER.decode(bomb_bytes())


def test_a_gzip_bomb_is_refused():
    with pytest.raises(ImageError, match="more than 1 MiB"):
        formats.gunzip(gzip.compress(bytes(2**21)), limit=2**20)


def test_the_suffix_does_not_matter(tmp_path):
    (tmp_path / "x.jpg").write_bytes(png_bytes(3))
    np.testing.assert_array_equal(
        DEFAULT_READER.read(tmp_path / "x.jpg"), DEFAULT_READER.decode(png_bytes(3))
    )


def test_text_that_begins_like_a_bmp_is_text():
    with pytest.raises(ImageError, match="not an image: text"):
        DEFAULT_READER.decode(b"BMI,path,role and so on")


def test_is_fast(tmp_path):
    (tmp_path / "x").write_bytes(png_bytes())
    assert images.is_fast(tmp_path / "x")
    assert images.is_fast(png_bytes())
    rgb = Image.fromarray(RGB)
    assert images.is_fast(encode(rgb, "JPEG"))
    assert images.is_fast(encode(rgb, "JPEG", progressive=True))
    assert not images.is_fast(encode(rgb, "JPEG")[:-2])
    assert not images.is_fast(encode(rgb.convert("CMYK"), "JPEG"))
    for other in (encode(rgb, "BMP"), npy_bytes(GRAY), b"", b"text"):
        assert not images.is_fast(other)


VALID = {
    "png": png_bytes(),
    "palette": raw_png(GRAY % 4, 2, 3, np.arange(12).reshape(4, 3)),
    "jpeg": encode(Image.fromarray(RGB), "JPEG"),
    "bmp": encode(Image.fromarray(RGB), "BMP"),
    "tiff": encode(Image.fromarray(DEEP), "TIFF"),
    "lzw": encode(Image.fromarray(RGB), "TIFF", compression="tiff_lzw"),
    "npy": npy_bytes(GRAY),
    "dicom": dicom_bytes(CT, WindowCenter=40, WindowWidth=400),
    "nifti": nifti_bytes(VOLUME),
    "nifti.gz": gzip.compress(nifti_bytes(VOLUME)),
}
MAGIC = [data[:8] for data in VALID.values()] + [bytes(128) + b"DICM", b"\x08\0\x05\0"]


def decodes_or_refuses(data):
    try:
        pixels = DEFAULT_READER.decode(data)
    except ImageError as error:
        text = str(error)
        assert text
        assert len(text.splitlines()) == 1
        assert len(text) < 300
    else:
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert pixels.dtype == np.float32
        assert pixels.min() >= 0.0
        assert pixels.max() <= 255.0


# Libraries warn of what they then refuse.
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MAGIC), st.binary(max_size=600))
def test_random_bytes_after_a_magic_number(magic, rest):
    decodes_or_refuses(magic + rest)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(VALID)), st.integers(0, 2**31))
def test_truncated_files(kind, cut):
    decodes_or_refuses(VALID[kind][: cut % len(VALID[kind])])


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(VALID)),
    st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 7)), min_size=1, max_size=6),
)
def test_flipped_bits(kind, flips):
    data = bytearray(VALID[kind])
    for position, bit in flips:
        # Half of the flips go into the first bytes, where headers are.
        limit = len(data) if position % 2 else min(len(data), 400)
        data[position // 2 % limit] ^= 1 << bit
    decodes_or_refuses(bytes(data))
