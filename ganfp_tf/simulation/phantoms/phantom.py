"""Phantoms: procedural axial CT of the lungs with tuberculosis, seeded, several slices a patient.

`phantom` makes one image, `write_phantoms` a folder of them with its manifest.
"""

import concurrent.futures
import functools
import multiprocessing
import os
import pathlib

import numpy as np
import pandas as pd
from PIL import Image

from ganfp_tf import progress
from ganfp_tf.errors import UserError
from ganfp_tf.files import atomic_path, read_json, write_csv, write_json
from ganfp_tf.simulation.phantoms.anatomy import draw_anatomy, slice_hu
from ganfp_tf.simulation.phantoms.findings import draw_findings, paint, seen
from ganfp_tf.simulation.phantoms.scanner import Scanner, window

VERSION = 1  # raised when the same seed gives another image
SIZES = (32, 64, 128, 256, 512)
LEVELS = (0.22, 0.92)  # from above the arch of the aorta to below the domes of the diaphragm
MANIFEST = ["path", "patient", "slice", "findings"]
# First part of the spawn key: what the random numbers are for.
ANATOMY, FINDINGS, LEVEL, NOISE = range(4)


def phantom(
    patient: int, index: int, *, slices: int = 3, size: int = 64, seed: int = 0
) -> np.ndarray:
    """One slice of one patient.

    Args:
        patient: number of the patient, 0 or more.
        index: which of the patient's `slices` slices, 0 the uppermost.
        slices: of a patient.
        size: side of the image, one of SIZES; the anatomy does not depend on it.
        seed: of the whole set, 0 or more.

    Returns:
        (size, size) uint8. The same arguments give the same bytes, whatever was made before.

    Raises:
        UserError: an argument is out of its range.
    """
    hu = _scanned(patient, index, slices, size, seed)
    return window(hu)


def findings_of(patient: int, *, seed: int = 0) -> tuple[str, ...]:
    """Names of the patient's findings, sorted; a slice may miss some of them."""
    _check(patient=patient, seed=seed)
    return tuple(sorted({finding.kind for finding in _patient(patient, seed)[1]}))


def findings_in(patient: int, index: int, *, slices: int = 3, seed: int = 0) -> tuple[str, ...]:
    """Names of the findings that a slice of the patient cuts, sorted."""
    anatomy, findings = _patient(patient, seed)
    return seen(findings, anatomy, level(patient, index, slices=slices, seed=seed))


def level(patient: int, index: int, *, slices: int = 3, seed: int = 0) -> float:
    """Axial position of a slice, 0 above the apices to 1 in the upper abdomen.

    The stretch between LEVELS is cut into `slices` parts; each holds one slice near its middle.
    """
    _check(patient=patient, seed=seed, index=index, slices=slices)
    jitter = _rng(seed, LEVEL, patient, slices, index).uniform(-0.3, 0.3)
    low, high = LEVELS
    return low + (high - low) * (index + 0.5 + jitter) / slices


def write_phantoms(
    folder: str | pathlib.Path,
    *,
    patients: int,
    slices: int = 3,
    size: int = 64,
    seed: int = 0,
    workers: int | None = None,
) -> pathlib.Path:
    """Writes phantom_<patient>_<slice>.png of all patients, manifest.csv and phantom.json.

    Images that are there already and can be read are kept, so an interrupted call goes on.

    Args:
        folder: where they go.
        patients: number of patients.
        slices: of a patient.
        size: side of the images, one of SIZES.
        seed: of the whole set, 0 or more.
        workers: processes; None takes one a core.

    Returns:
        the folder.

    Raises:
        UserError: an argument is out of its range, or the folder holds phantoms that were made
            with other settings.
    """
    _check(patient=0, seed=seed, index=0, slices=slices, size=size)
    if patients < 1:
        raise UserError(f"patients must be 1 or more. Received: patients={patients}")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"phantom_version": VERSION, "seed": seed, "size": size, "slices": slices}
    _claim(folder, settings)
    jobs = [(folder / name, *place) for name, *place in listing(patients, slices)]
    missing = [job for job in jobs if not _is_good(job[0], size)]
    with progress.bar(len(jobs), "phantoms", "slice") as bar:
        bar.update(len(jobs) - len(missing))
        for _ in _made(missing, slices, size, seed, workers):
            bar.update(1)
    _write_manifest(folder / "manifest.csv", patients, slices, seed)
    return folder


def listing(patients: int, slices: int) -> list[tuple[str, int, int]]:
    """(file name, patient, slice) of the images of `write_phantoms`, in order."""
    return [
        (f"phantom_{patient:04d}_{index}.png", patient, index)
        for patient in range(patients)
        for index in range(slices)
    ]


def _write_manifest(path, patients, slices, seed):
    """Writes what is new; whoever rendered more patients keeps their rows."""
    known = pd.DataFrame(columns=MANIFEST)
    if path.exists():
        found = pd.read_csv(path, dtype=str, keep_default_na=False)
        known = found if found.columns.tolist() == MANIFEST else known
    names = dict(zip(known["patient"].astype(int), known["findings"], strict=True))
    new = [patient for patient in range(patients) if patient not in names]
    if not new:
        return
    names |= {patient: " ".join(findings_of(patient, seed=seed)) for patient in new}
    rows = [(*row, names[row[1]]) for row in listing(max(names) + 1, slices)]
    write_csv(path, pd.DataFrame(rows, columns=MANIFEST))


def _claim(folder, settings):
    """Writes phantom.json, or checks that the one there says the same."""
    path = folder / "phantom.json"
    if path.exists():
        found = read_json(path)
        if found != settings:
            raise UserError(
                f"{folder} holds phantoms made with other settings. Expected: {settings}. "
                f"Found in phantom.json: {found}. Name another folder, or delete this one."
            )
    else:
        write_json(path, settings)


def _made(missing, slices, size, seed, workers):
    """Makes the missing images, in this process when one worker is enough; yields as they end."""
    work = functools.partial(_write, slices=slices, size=size, seed=seed)
    workers = min(workers or os.cpu_count() or 1, len(missing))
    if workers <= 1:
        yield from map(work, missing)
        return
    # Not forked: a fork of a process in which TensorFlow runs threads may hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(work, job) for job in missing]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write(job, *, slices, size, seed):
    path, patient, index = job
    image = phantom(patient, index, slices=slices, size=size, seed=seed)
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", optimize=True)


def _is_good(path, size):
    try:
        with Image.open(path) as image:
            image.load()
            return image.size == (size, size) and image.mode == "L"
    except OSError:
        return False


@functools.lru_cache(maxsize=8)
def _patient(patient, seed):
    """The patient's (anatomy, findings)."""
    anatomy = draw_anatomy(_rng(seed, ANATOMY, patient))
    return anatomy, draw_findings(anatomy, _rng(seed, FINDINGS, patient))


def _scanned(patient, index, slices, size, seed, scanner=None):
    """The scanned slice in HU, (size, size)."""
    _check(patient=patient, seed=seed, index=index, slices=slices, size=size)
    anatomy, findings = _patient(patient, seed)
    hu = slice_hu(
        anatomy,
        level(patient, index, slices=slices, seed=seed),
        2 * size,
        functools.partial(paint, findings, anatomy),
    )
    noise = _rng(seed, NOISE, patient, slices, index, size)
    return (scanner or Scanner()).scan(hu, anatomy.field, noise)


def _rng(seed, *key):
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _check(*, patient, seed, index=0, slices=1, size=64):
    for name, value in (("patient", patient), ("seed", seed)):
        if value < 0:
            raise UserError(f"{name} must be 0 or more. Received: {name}={value}")
    if slices < 1:
        raise UserError(f"slices must be 1 or more. Received: slices={slices}")
    if not 0 <= index < slices:
        raise UserError(
            f"the slice must be from 0 to {slices - 1} of {slices}. Received: index={index}"
        )
    if size not in SIZES:
        raise UserError(
            f"the size of a phantom must be a power of two, one of {', '.join(map(str, SIZES))}. "
            f"Received: size={size}"
        )
