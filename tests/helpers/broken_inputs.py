"""Broken inputs, each a small function that writes one and says what the message must hold.

BROKEN is a list of (name, build, options): build(folder) returns (data, expected text), options are
settings of Config beside --data. The files are made here, so that nothing binary is shipped.
"""

import gzip
import io
import os
import struct
import zlib

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from ganfp_tf.data.images import ImageReader

BROKEN = []


def broken(**options):
    """Registers a builder under its own name."""

    def register(build):
        BROKEN.append((build.__name__, build, options))
        return build

    return register


def png_bytes(seed=0, size=(16, 12)):
    """An 8-bit gray PNG of random pixels; size is (width, height)."""
    pixels = np.random.default_rng(seed).integers(0, 256, size[::-1], np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def npy_bytes(array, **options):
    """An array as the bytes of an NPY file."""
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def dicom_bytes(pixels, *, preamble=True, syntax=ExplicitVRLittleEndian, **attributes):
    """A CT file of one frame (H, W) or several (N, H, W); None as pixels leaves them out."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.Modality = "CT"
    if pixels is not None:
        pixels = np.asarray(pixels)
        dataset.Rows, dataset.Columns = pixels.shape[-2:]
        if pixels.ndim == 3:
            dataset.NumberOfFrames = len(pixels)
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        dataset.PixelData = pixels.tobytes()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    stream = io.BytesIO()
    if preamble:
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    else:
        del dataset.file_meta
        dataset.preamble = None
        pydicom.dcmwrite(stream, dataset, implicit_vr=True, little_endian=True)
    return stream.getvalue()


def nifti_bytes(volume, affine=None):
    """A volume (X, Y, Z) as the bytes of a .nii file."""
    return nibabel.Nifti1Image(volume, np.eye(4) if affine is None else affine).to_bytes()


def bomb_bytes(width=60000, height=60000):
    """A PNG of a few hundred bytes whose header promises far too many pixels."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(100000))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", body), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def good_folder(folder, used=2, not_used=2, generated=2):
    """Writes a small data set in the layout of 2025; every image differs."""
    seed = 0
    for name, count in (("real_used", used), ("real_not_used", not_used), ("generated", generated)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(1, count + 1):
            (folder / name / f"{name}_{number}.png").write_bytes(png_bytes(seed))
            seed += 1
    return folder


def with_file(folder, name, content):
    """A good data set and one more file in its folder of used images."""
    path = good_folder(folder) / "real_used" / name
    path.write_bytes(content)
    return str(folder)


def with_manifest(folder, content):
    """A good data set and a CSV beside it; returns the path of the CSV."""
    path = good_folder(folder) / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(path)


ROWS = (
    "path,role,label\nreal_used/real_used_1.png,real,1\nreal_not_used/real_not_used_1.png,real,0\n"
    "generated/generated_1.png,generated,\n"
)


@broken()
def truncated_png(folder):
    return with_file(folder, "x.png", png_bytes(9)[:-40]), "x.png: truncated PNG"


@broken()
def flipped_bit_png(folder):
    content = bytearray(png_bytes(9))
    content[60] ^= 4
    return with_file(folder, "x.png", bytes(content)), "x.png: damaged PNG: wrong checksum"


@broken()
def truncated_jpeg(folder):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(
        stream, "JPEG"
    )
    return with_file(folder, "x.jpg", stream.getvalue()[:1000]), "x.jpg: cannot be read as JPEG"


@broken()
def zero_bytes(folder):
    return with_file(folder, "x.png", b""), "x.png: the file is empty"


@broken()
def text_named_png(folder):
    return with_file(folder, "x.png", "Größe: 3\n".encode()), "x.png: not an image: text"


@broken()
def html_named_jpg(folder):
    page = b"<!DOCTYPE html><html><body>404</body></html>"
    return with_file(folder, "x.jpg", page), "x.jpg: not an image: an HTML page"


@broken()
def gif(folder):
    return with_file(folder, "x.gif", b"GIF89a" + bytes(50)), "x.gif: not an image: a GIF"


@broken()
def noise(folder):
    return with_file(folder, "x.bin", bytes(range(128, 256))), "not an image of a known format"


@broken()
def decompression_bomb(folder):
    return with_file(folder, "x.png", bomb_bytes()), "x.png: cannot be read as PNG"


@broken()
def above_64_megapixels(folder):
    return with_file(folder, "x.png", bomb_bytes(9000, 9000)), "at most 64 megapixels"


@broken()
def nan_in_npy(folder):
    array = np.full((9, 9), np.nan, np.float32)
    return with_file(folder, "x.npy", npy_bytes(array)), "x.npy: NaN or infinite values"


@broken()
def pickled_npy(folder):
    array = np.array([[{}] * 9] * 9, dtype=object)
    return with_file(folder, "x.npy", npy_bytes(array, allow_pickle=True)), "an array of object"


@broken()
def four_dimensional_npy(folder):
    array = np.zeros((2, 9, 9, 3), np.uint8)
    return with_file(folder, "x.npy", npy_bytes(array)), "shape (2, 9, 9, 3): expected (H, W)"


@broken()
def negative_npy(folder):
    array = np.full((9, 9), -3.5)
    return with_file(folder, "x.npy", npy_bytes(array)), "float64 values from -3.5 to -3.5"


@broken()
def integer_npy(folder):
    array = np.arange(81).reshape(9, 9) * 10
    return with_file(folder, "x.npy", npy_bytes(array)), "int64 values from 0 to 800"


@broken()
def truncated_npy(folder):
    return with_file(folder, "x.npy", npy_bytes(np.zeros((9, 9)))[:-9]), "cannot be read as NPY"


@broken()
def dicom_without_pixels(folder):
    return with_file(folder, "x.dcm", dicom_bytes(None)), "x.dcm: a DICOM file without pixel data"


@broken()
def truncated_dicom(folder):
    content = dicom_bytes(np.zeros((16, 16), np.int16))
    return with_file(folder, "x.dcm", content[:-100]), "x.dcm: cannot be read as DICOM"


@broken(reader=ImageReader(nifti_slice=7))
def nifti_slice_out_of_range(folder):
    content = nifti_bytes(np.zeros((9, 9, 5), np.int16))
    return with_file(folder, "x.nii", content), "slice 7 of a volume with slices 0 to 4"


@broken()
def truncated_nifti(folder):
    return with_file(folder, "x.nii", nifti_bytes(np.zeros((9, 9, 5)))[:-10]), "x.nii: truncated"


@broken()
def truncated_nifti_gz(folder):
    volume = np.random.default_rng(0).integers(0, 99, (9, 9, 5), np.int16)
    content = gzip.compress(nifti_bytes(volume))
    return with_file(folder, "x.nii.gz", content[:-50]), "the gzip stream ends early"


@broken()
def gzip_of_something_else(folder):
    return with_file(folder, "x.nii.gz", gzip.compress(b"hello")), "that is not NIfTI"


@broken()
def one_pixel(folder):
    return with_file(folder, "x.png", png_bytes(9, (1, 1))), "1x1 pixels: both sides"


@broken()
def very_long(folder):
    return with_file(folder, "x.png", png_bytes(9, (5000, 30))), "5000x30 pixels: longer than 8:1"


@broken()
def directory_named_like_an_image(folder):
    (good_folder(folder) / "generated" / "x.png").mkdir()
    return str(folder), "x.png: a folder, not an image file"


@broken()
def link_to_nowhere(folder):
    (good_folder(folder) / "generated" / "x.png").symlink_to(folder / "gone.png")
    return str(folder), "x.png: a link that points nowhere"


@broken()
def name_not_utf8(folder):
    name = os.path.join(os.fsencode(good_folder(folder)), b"generated", b"\xff.png")
    with open(name, "wb") as stream:
        stream.write(png_bytes(9))
    return str(folder), "its name is not UTF-8"


@broken()
def nothing_said(folder):
    return "", "--data is empty: hand in a folder in the ImageCLEF 2023 or 2025 layout"


@broken()
def missing_path(folder):
    return str(folder / "nowhere"), "there is no file or folder"


@broken()
def empty_folder(folder):
    return str(folder), "is empty. Expected real_used (or used)"


@broken()
def unknown_folder_names(folder):
    for name in ("images", "masks"):
        (folder / name).mkdir()
        (folder / name / "x.png").write_bytes(png_bytes())
    return str(folder), "Expected real_used (or used), real_not_used"


@broken()
def folders_without_images(folder):
    return str(good_folder(folder, 0, 0, 0)), "hold no images"


@broken()
def data_is_an_image(folder):
    path = folder / "x.png"
    path.write_bytes(png_bytes())
    return str(path), "is an image (PNG): expected a folder or a CSV"


@broken()
def no_used(folder):
    return str(good_folder(folder, used=0)), "there are no used real images"


@broken()
def no_not_used(folder):
    return str(good_folder(folder, not_used=0)), "there are no not used real images"


@broken()
def no_generated(folder):
    return str(good_folder(folder, generated=0)), "there are no generated images"


@broken()
def same_image_under_both_labels(folder):
    good_folder(folder)
    (folder / "real_not_used" / "again.png").write_bytes(png_bytes(0))
    return str(folder), "real_used/real_used_1.png and real_not_used/again.png have the same"


@broken()
def same_name_twice(folder):
    good_folder(folder)
    (folder / "real_not_used" / "real_used_1.png").write_bytes(png_bytes(77))
    return str(folder), "real_not_used/real_used_1.png and real_used/real_used_1.png"


@broken(patient_regex="real_(")
def invalid_regex(folder):
    return str(good_folder(folder)), "--patient_regex is not a regular expression"


@broken(patient_regex="patient([0-9]+)")
def regex_without_match(folder):
    return str(good_folder(folder)), "--patient_regex matches nothing in 4 of 4 paths, such as real"


@broken()
def csv_column_missing(folder):
    return with_manifest(folder, "file,role\nx.png,real\n"), "no column path. Expected"


@broken()
def csv_with_semicolons(folder):
    return with_manifest(folder, ROWS.replace(",", ";")), "Found: path;role;label"


@broken()
def csv_empty(folder):
    return with_manifest(folder, ""), "list.csv is empty"


@broken()
def csv_header_only(folder):
    return with_manifest(folder, "path,role,label,patient\n"), "there are no rows below the header"


@broken()
def csv_unknown_role(folder):
    return with_manifest(folder, ROWS + "x.png,fake,\n"), "row 5: unknown role 'fake'"


@broken()
def csv_unknown_label(folder):
    return with_manifest(folder, ROWS + "x.png,real,maybe\n"), "row 5: unknown label 'maybe'"


@broken()
def csv_role_against_label(folder):
    return with_manifest(folder, ROWS + "x.png,real_used,0\n"), "contradict each other"


@broken()
def csv_in_utf16(folder):
    return with_manifest(folder, ROWS.encode("utf-16")), "is in UTF-16: save the CSV as UTF-8"


@broken()
def csv_in_latin1(folder):
    return with_manifest(folder, (ROWS + "ä.png,real,1\n").encode("latin-1")), "is not UTF-8 text"


@broken()
def csv_ragged(folder):
    return with_manifest(folder, ROWS + "a,b.png,real,1\n"), "row 5: 4 cells under a header of 3"


@broken()
def csv_short_row(folder):
    return with_manifest(folder, ROWS + "b.png,real\n"), "row 5: 2 cells under a header of 3"


@broken()
def csv_open_quote(folder):
    return with_manifest(folder, ROWS + '"b.png,real,1\n'), "is not a CSV"


@broken()
def csv_empty_path(folder):
    return with_manifest(folder, ROWS + ",real,1\n"), "row 5: the path is empty"


@broken()
def csv_names_missing_files(folder):
    return with_manifest(folder, ROWS + "gone.png,real,1\n"), "gone.png: no such file"


@broken()
def csv_same_path_twice(folder):
    return with_manifest(folder, ROWS + "./generated/generated_1.png,generated,\n"), "row 4 already"
