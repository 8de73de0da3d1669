"""What every image format shares (limits, error, window), and the readers of NPY, DICOM and NIfTI.

Every reader takes a file's bytes and returns (H, W, 3) float32 in [0, 255]. pydicom and nibabel
are imported where they are needed, because most data sets need neither.
"""

import gzip
import io
import math
import zlib
from typing import Any

import numpy as np

from ganfp_tf.errors import UserError

MAX_PIXELS = 64_000_000
MIN_SIDE = 8
MAX_ASPECT = 8
MAX_BYTES = 2**30
LUNG_WINDOW = (-600.0, 1500.0)


class ImageError(UserError):
    """A file is not a usable image; the message is one short reason without the path."""


def check_size(height: int, width: int) -> None:
    """Raises `ImageError` where an image of this size (pixels) is refused."""
    if min(height, width) < MIN_SIDE:
        raise ImageError(f"{width}x{height} pixels: both sides must be at least {MIN_SIDE}")
    if height * width > MAX_PIXELS:
        raise ImageError(
            f"{width}x{height} pixels: at most {MAX_PIXELS // 10**6} megapixels are read"
        )
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise ImageError(f"{width}x{height} pixels: longer than {MAX_ASPECT}:1")


def apply_window(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """Maps an intensity window to [0, 255]; values outside are clipped.

    DICOM PS3.3 C.11.2.1.2.1 (LINEAR), which needs a width above 1; narrower windows, as images with
    fractional values need, follow C.11.2.1.3.2 (LINEAR_EXACT).
    """
    values = np.asarray(values, np.float64)
    if width > 1:
        scaled = (values - (center - 0.5)) / (width - 1) + 0.5
    else:
        scaled = (values - center) / width + 0.5
    return np.clip(scaled, 0.0, 1.0) * 255.0


def scale_range(values: np.ndarray) -> np.ndarray:
    """Maps the smallest value to 0 and the largest to 255; a constant image becomes 0.

    Raises `ImageError` where the values or their range are not finite.
    """
    values = np.asarray(values, np.float64)
    low, high = values.min(), values.max()
    if not np.isfinite(float(high) - float(low)):
        raise ImageError("NaN or infinite values, or a range beyond the largest number")
    if high == low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0.0, 1.0) * 255.0


def scale_array(values: np.ndarray) -> np.ndarray:
    """Maps an array of unknown origin to [0, 255] by its type.

    uint8 as it is, uint16 / 257, bool to 0 and 255, float in [0, 1] times 255, float in [0, 255] as
    it is. Raises `ImageError` for everything else, with the range found.
    """
    check_finite(values)
    kind = values.dtype.kind + str(values.dtype.itemsize)
    if kind == "u1":
        return values.astype(np.float32)
    if kind == "u2":
        return values.astype(np.float32) / 257.0
    if kind == "b1":
        return values.astype(np.float32) * 255.0
    if values.dtype.kind == "f" and values.min() >= 0.0 and values.max() <= 255.0:
        return values.astype(np.float32) * (255.0 if values.max() <= 1.0 else 1.0)
    raise ImageError(
        f"{values.dtype.name} values from {values.min():g} to {values.max():g}: expected uint8, "
        "uint16, bool, or float in [0, 1] or [0, 255]"
    )


def check_finite(values: np.ndarray) -> None:
    """Raises `ImageError` where a value is NaN or infinite."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageError("NaN or infinite values")


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 1) or (H, W, 3) -> (H, W, 3) float32."""
    pixels = np.asarray(pixels, np.float32)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def read_npy(data: bytes) -> np.ndarray:
    """NPY of shape (H, W), (H, W, 1) or (H, W, 3), scaled as `scale_array` says."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in headers:
        raise ImageError(f"NPY format {version[0]}.{version[1]}: expected 1.0 or 2.0")
    # The header is read first, so that neither a pickle nor an absurd shape is ever loaded.
    shape, _, dtype = headers[version](stream)
    if dtype.hasobject or dtype.kind not in "biuf":
        raise ImageError(f"an array of {dtype.name}: expected numbers")
    if len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,)):
        raise ImageError(f"an array of shape {shape}: expected (H, W), (H, W, 1) or (H, W, 3)")
    check_size(*shape[:2])
    return as_rgb(scale_array(np.load(io.BytesIO(data), allow_pickle=False)))


def read_dicom(data: bytes, window: tuple[float, float] | None = None) -> np.ndarray:
    """DICOM: the middle frame, rescaled, then windowed.

    The window is `window`, else the file's first WindowCenter/WindowWidth, else the lung window
    (-600, 1500) for Modality CT, else smallest to largest value; every VOI function is taken as
    linear. MONOCHROME1 is inverted. Colour is taken as it is.
    """
    import pydicom
    import pydicom.pixels

    # force: recognise() has let files without the 128-byte preamble through.
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ImageError("a DICOM file without pixel data")
    check_size(int(dataset.Rows), int(dataset.Columns))
    syntax = _transfer_syntax(dataset)
    frame = int(dataset.get("NumberOfFrames") or 1) // 2
    try:
        values = pydicom.pixels.pixel_array(dataset, index=frame)
    except RuntimeError as error:
        if syntax.is_compressed:
            raise ImageError(
                f"DICOM pixels that cannot be decompressed ({syntax.name}): damaged, or no decoder "
                "is installed; convert the file to an uncompressed one"
            ) from error
        raise
    photometric = str(dataset.PhotometricInterpretation)
    if values.ndim == 3:
        return as_rgb(values * (255.0 / (2 ** int(dataset.BitsStored) - 1)))
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError(f"DICOM pixels of kind {photometric}: expected MONOCHROME or RGB")
    if dataset.get("ModalityLUTSequence"):
        values = pydicom.pixels.apply_modality_lut(values, dataset).astype(np.float64)
    else:
        group = "PixelValueTransformationSequence"
        slope = _number(_frame_value(dataset, frame, group, "RescaleSlope"), 1.0)
        intercept = _number(_frame_value(dataset, frame, group, "RescaleIntercept"), 0.0)
        values = values.astype(np.float64) * slope + intercept
    check_finite(values)
    window = window or _dicom_window(dataset, frame)
    pixels = apply_window(values, *window) if window else scale_range(values)
    return as_rgb(255.0 - pixels if photometric == "MONOCHROME1" else pixels)


def _transfer_syntax(dataset):
    """The transfer syntax; set to the one pydicom read by where the file has no meta header."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if not getattr(dataset, "file_meta", None):
        dataset.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    return dataset.file_meta.TransferSyntaxUID


def _frame_value(dataset, frame, group, keyword):
    """An attribute of one frame: enhanced files keep it in functional groups (PS3.3 C.7.6.16)."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    shared = dataset.get("SharedFunctionalGroupsSequence") or ()
    for item in (*per_frame[frame : frame + 1], *shared[:1]):
        nested = item.get(group)
        if nested and keyword in nested[0]:
            return nested[0].get(keyword)
    return dataset.get(keyword)


def _number(value, default):
    """The first number of a DICOM value, or `default` where there is none."""
    if value is not None and not isinstance(value, (str, int, float)) and hasattr(value, "__len__"):
        value = value[0] if len(value) else None
    return default if value in (None, "") else float(value)


def _dicom_window(dataset, frame):
    """The file's own window, the lung window for CT, or None."""
    center = _number(_frame_value(dataset, frame, "FrameVOILUTSequence", "WindowCenter"), None)
    width = _number(_frame_value(dataset, frame, "FrameVOILUTSequence", "WindowWidth"), None)
    if center is not None and width and math.isfinite(center) and 0 < width < math.inf:
        return center, width
    return LUNG_WINDOW if dataset.get("Modality") == "CT" else None


def _is_second_nifti(data):
    """Whether the header is NIfTI-2's; raises `ImageError` if it is of no single-file NIfTI."""
    size = int.from_bytes(data[:4], "little")
    if size not in (348, 540):
        size = int.from_bytes(data[:4], "big")
    magic = data[4:7] if size == 540 else data[344:347]
    if magic in (b"ni1", b"ni2"):
        raise ImageError("the header of a NIfTI pair (.hdr/.img): convert it to one .nii file")
    if magic not in (b"n+1", b"n+2"):
        raise ImageError("a compressed file or volume that is not NIfTI")
    return size == 540


def read_nifti(
    data: bytes, window: tuple[float, float] | None = None, nifti_slice: int = -1
) -> np.ndarray:
    """NIfTI: one axial slice of the first volume.

    `nifti_slice` counts from the feet along the third axis of the closest canonical (RAS) axes; -1
    is the middle. It is shown as an axial DICOM slice is: anterior up, the patient's right on the
    left. The window is `window`, else smallest to largest value of the slice.
    """
    import nibabel

    if data[:2] == b"\x1f\x8b":
        data = gunzip(data)
    second = _is_second_nifti(data)
    image: Any = (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_bytes(data)
    dtype = image.get_data_dtype()
    if dtype.fields or dtype.kind not in "iuf":
        raise ImageError(f"NIfTI voxels of type {dtype}: expected numbers")
    shape = image.shape + (1,) * (3 - len(image.shape))
    if min(shape) < 1:
        raise ImageError(f"a NIfTI volume of shape {image.shape}: it is empty")
    start = int(image.dataobj.offset)
    needed = start + math.prod(shape) * dtype.itemsize
    if needed > len(data):
        raise ImageError(f"truncated: {len(data)} bytes of {needed}")
    axes = _canonical_axes(nibabel, image.affine)
    up = next(axis for axis in range(3) if axes[axis][0] == 2)
    count = shape[up]
    if not -1 <= nifti_slice < count:
        raise ImageError(f"slice {nifti_slice} of a volume with slices 0 to {count - 1}")
    index = count // 2 if nifti_slice == -1 else nifti_slice
    if axes[up][1] < 0:
        index = count - 1 - index
    check_size(*(shape[axis] for axis in range(3) if axis != up))
    chosen = [slice(None)] * 3 + [0] * (len(shape) - 3)
    chosen[up] = index
    # A two-dimensional file has no third axis that the proxy could be asked for.
    plane = np.asarray(image.dataobj[tuple(chosen[: len(image.shape)])], np.float64)
    check_finite(plane)
    sides = [axes[axis] for axis in range(3) if axis != up]
    for position, (_, sign) in enumerate(sides):
        if sign < 0:
            plane = np.flip(plane, position)
    if sides[0][0] == 1:
        plane = plane.T
    plane = plane[::-1, ::-1].T
    return as_rgb(apply_window(plane, *window) if window else scale_range(plane))


def _canonical_axes(nibabel, affine):
    """For each array axis (canonical axis, sign); as stored where the affine does not say."""
    if affine is not None and np.isfinite(affine).all():
        axes = nibabel.io_orientation(affine)[:3]
        if np.isfinite(axes).all():
            return [(int(axis), int(sign)) for axis, sign in axes]
    return [(0, 1), (1, 1), (2, 1)]


def gunzip(data: bytes, limit: int = MAX_BYTES) -> bytes:
    """Decompresses gzip bytes; raises `ImageError` where more than `limit` bytes come out."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(limit + 1)
    except EOFError as error:
        raise ImageError("truncated: the gzip stream ends early") from error
    except (OSError, zlib.error) as error:
        raise ImageError(f"damaged gzip stream: {error}") from error
    if len(content) > limit:
        raise ImageError(f"more than {limit // 2**20} MiB when decompressed")
    return content
