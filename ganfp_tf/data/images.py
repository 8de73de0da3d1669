"""A file's bytes -> (H, W, 3) float32 in [0, 255], whatever the format. No TensorFlow.

The format is recognised by the content, never by the suffix alone: a PNG named .jpg is read, a text
file named .png is refused.
"""

import dataclasses
import io
import os
import stat
import struct
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from ganfp_tf.config.data import DataSettings
from ganfp_tf.data import formats
from ganfp_tf.data.formats import ImageError

__all__ = ["DEFAULT_READER", "ImageError", "ImageReader", "is_fast", "read_bytes", "recognise"]

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\x93NUMPY", "NPY"),
    (b"\x1f\x8b", "NIfTI"),
)
_BMP_HEADERS = tuple(bytes([size]) for size in (12, 40, 52, 56, 64, 108, 124))
# Formats that people hand in and that are not read, so that the message can name them.
_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"RIFF", "a WebP or another RIFF file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer, whose content was never fetched"),
)


@dataclasses.dataclass(frozen=True)
class ImageReader:
    """Reads image files of every format, all of one data set in the same way.

    Attributes:
        window: (center, width) of DICOM and NIfTI intensities; None takes the file's own.
        nifti_slice: axial slice of a NIfTI volume; -1 is the middle one.
    """

    window: tuple[float, float] | None = None
    nifti_slice: int = -1

    @classmethod
    def of(cls, settings: DataSettings) -> "ImageReader":
        """The reader of the settings --window and --nifti_slice."""
        return cls(settings.window_range, settings.nifti_slice)

    def read(self, path: str | os.PathLike) -> np.ndarray:
        """Reads an image file: PNG, JPEG, BMP, TIFF (first page), NPY, DICOM or NIfTI.

        Returns:
            (H, W, 3) float32 in [0, 255]. Palettes become their colours, 16 bits are divided by 257
            (colour of 16 bits is reduced to its high byte), alpha is dropped without blending, and
            CMYK is converted without a profile. The EXIF orientation of PNG and JPEG is not applied
            (Pillow itself applies the orientation tag of TIFF).

        Raises:
            ImageError: the file cannot be read or is not a usable image.
        """
        return self.decode(read_bytes(path))

    def decode(self, data: bytes) -> np.ndarray:
        """The bytes of a file -> (H, W, 3) float32 in [0, 255]; as `read`."""
        kind = recognise(data)
        if kind is None:
            raise ImageError(_describe(data))
        try:
            if kind == "NPY":
                pixels = formats.read_npy(data)
            elif kind == "DICOM":
                pixels = formats.read_dicom(data, self.window)
            elif kind == "NIfTI":
                pixels = formats.read_nifti(data, self.window, self.nifti_slice)
            else:
                pixels = _read_pillow(data, kind)
        except ImageError:
            raise
        except UnidentifiedImageError as error:
            raise ImageError(f"cannot be read as {kind}: its header is damaged") from error
        # Libraries answer damaged files with almost any exception, struct.error to RecursionError.
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ImageError(f"cannot be read as {kind}: {lines[0][:160]}") from error
        formats.check_size(*pixels.shape[:2])
        return pixels


DEFAULT_READER = ImageReader()


def read_bytes(path: str | os.PathLike) -> bytes:
    """Reads a regular file of at most `formats.MAX_BYTES` bytes; raises `ImageError`."""
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise ImageError("a folder, not an image file")
        if not stat.S_ISREG(found.st_mode):
            raise ImageError("not a regular file")
        if found.st_size > formats.MAX_BYTES:
            raise ImageError(f"larger than {formats.MAX_BYTES // 2**20} MiB")
        with open(path, "rb") as stream:
            return stream.read()
    except ImageError:
        raise
    except FileNotFoundError as error:
        reason = "a link that points nowhere" if os.path.islink(path) else "no such file"
        raise ImageError(reason) from error
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise ImageError(f"not a file name: {error}") from error


def recognise(data: bytes) -> str | None:
    """Names the format of a file's bytes: PNG, JPEG, BMP, TIFF, NPY, DICOM, NIfTI or None."""
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    # Two letters alone would take a text for a BMP: the size of its second header is looked at.
    if data[:2] == b"BM" and data[15:18] == bytes(3) and data[14:15] in _BMP_HEADERS:
        return "BMP"
    if data[128:132] == b"DICM":
        return "DICOM"
    if data[344:347] in (b"n+1", b"ni1") or data[4:7] in (b"n+2", b"ni2"):
        return "NIfTI"
    # DICOM without its preamble starts at group 2 or 8, little endian, with a low element number.
    if data[:2] in (b"\x02\x00", b"\x08\x00") and len(data) > 128 and data[3:4] == b"\x00":
        return "DICOM"
    return None


def is_fast(source: str | os.PathLike | bytes) -> bool:
    """Whether `decode.decode_encoded` gives the pixels of `ImageReader.read`.

    Args:
        source: a path, or the bytes of a whole file.

    Returns:
        True for PNG of every kind (colour of 16 bits differs by less than 1), and for JPEG with
        one or three components of 8 bits, baseline or progressive, that is not cut off.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    kind = recognise(data)
    return kind == "PNG" or (kind == "JPEG" and _is_plain_jpeg(data))


def _is_plain_jpeg(data):
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = struct.unpack(">BH", data[position + 1 : position + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            plain = marker <= 0xC2 and data[position + 4] == 8 and data[position + 9] in (1, 3)
            # libjpeg in TensorFlow refuses a file without an end marker; Pillow may not.
            return plain and data.find(b"\xff\xd9", position + 2 + length) >= 0
        position += 2 + length
    return False


def _read_pillow(data, kind):
    if kind == "PNG":
        _check_png(data)
    # DecompressionBombError comes from open(); below its limit check_size() refuses.
    image = Image.open(io.BytesIO(data), formats=[kind])
    formats.check_size(image.height, image.width)
    image.load()
    if image.mode == "F":
        return formats.as_rgb(formats.scale_array(np.asarray(image)))
    if image.mode.startswith("I;16") or (kind == "PNG" and image.mode == "I"):
        values = np.asarray(image).astype(np.float32)
        if kind == "TIFF":
            bits = int(np.ravel(image.tag_v2.get(258, 16))[0])
            values *= 65535.0 / (2**bits - 1)
            if image.tag_v2.get(262) == 0:  # white is zero; Pillow inverts it up to 8 bits only
                values = 65535.0 - values
        return formats.as_rgb(values / 257.0)
    if image.mode == "I":
        return formats.as_rgb(formats.scale_array(np.asarray(image)))
    image.info.pop("transparency", None)
    return formats.as_rgb(np.asarray(image.convert("RGB")))


def _check_png(data):
    """Pillow skips the checksums of pixel chunks, which libpng in TensorFlow insists on."""
    position = 8
    while position + 12 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        end = position + 12 + length
        if end > len(data):
            break
        name = data[position + 4 : position + 8]
        (found,) = struct.unpack(">I", data[end - 4 : end])
        if zlib.crc32(data[position + 4 : end - 4]) != found:
            raise ImageError(f"damaged PNG: wrong checksum of chunk {name.decode('latin-1')!r}")
        if name == b"IEND":
            return
        position = end
    raise ImageError("truncated PNG: the file ends early")


def _describe(data):
    """Says what a file is that is not a known image."""
    expected = "expected PNG, JPEG, BMP, TIFF, NPY, DICOM or NIfTI"
    if not data:
        return "the file is empty"
    for magic, name in _OTHERS:
        if data.startswith(magic):
            return f"not an image: {name}; {expected}"
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return f"not an image: an HTML page; {expected}"
    # Cut inside a character, text of 512 bytes may end with an incomplete one.
    text = data[:512].decode("utf-8", errors="ignore")
    if len(text.encode()) > 0.9 * len(data[:512]) and all(
        c.isprintable() or c.isspace() for c in text
    ):
        return f"not an image: text; {expected}"
    return f"not an image of a known format; {expected}"
