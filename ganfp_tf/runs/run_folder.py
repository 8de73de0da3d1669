"""The run folder: it records what a run was, so that the run can be understood and resumed."""

import dataclasses
import hashlib
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

import pandas as pd

from ganfp_tf import __version__, files
from ganfp_tf.config import Config
from ganfp_tf.errors import UserError

PACKAGES = ("tensorflow", "keras", "keras-cv", "numpy", "pandas", "scikit-learn", "absl-py")
IMAGE_COLUMNS = ["path", "name", "role", "label", "patient", "part", "digest", "fast"]
# What --overwrite may remove: the names that a run writes, and nothing else.
WRITTEN = (
    "config.json",
    "environment.json",
    "images.csv",
    "splits.csv",
    "weights.json",
    "splits",
    "tensorboard",
    "model.keras",
    "saved_model",
    "scores.csv",
    "evaluation.json",
    "figures",
    "predictions.csv",
    "run_2023.csv",
    "run_2025.csv",
    "unreadable.csv",
    "history.csv",
    "predictions_unreadable.csv",
    "evaluation_predictions.json",
    "model.json",
    "embedding.json",
    "copies",
    "systems",
    "comparison.csv",
    "comparison.md",
    "comparison.html",
    "victims",
    "detectors",
    "benchmark.csv",
    "benchmark.md",
    "benchmark.html",
    "controls",
    "report.html",
    "audit.json",
    "audit_card.md",
    "cluster",
    "lite",
    "speed.json",
    "speed.csv",
    "speed.md",
)
# What a simulation writes: names that a user's own images may have, so only removed from its own.
SIMULATED = (
    "victim.json",
    "manifest.csv",
    "truth.csv",
    "planted.csv",
    "images.png",
    "training",
    "test",
    "victim",
    "unrelated",
)
KINDS = ("audit", "compare", "simulate", "benchmark")  # their folders hold nothing of others


def folder_of(config: Config) -> Path:
    """The run's folder, as a Path."""
    return Path(config.run_dir or config.default_run_dir())


def start(config: Config, frame: pd.DataFrame | None = None) -> Path:
    """Makes the run folder, or finds the one of the same settings and images to resume.

    Args:
        config: the run's Config.
        frame: rows of the Catalog; None for a run without images.

    Returns:
        The folder.

    Raises:
        UserError: if the folder holds a run of other settings or other images.
    """
    folder = folder_of(config)
    try:
        if config.overwrite:
            clear(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "config.json").exists():
            before = Config.from_json(folder / "config.json")
            _check_mode(before, config, folder)
            _check_settings(before, config, folder)
            if frame is not None:
                _check_images(folder, frame)
        elif config.mode == "simulate":
            _check_free(folder)
        # With overwrite as it was passed, a later --config_json would clear this very folder.
        kept = dataclasses.replace(config, overwrite=False)
        files.write_json(folder / "config.json", kept.to_dict())
        files.write_json(folder / "environment.json", environment())
        if frame is not None:
            files.write_csv(folder / "images.csv", frame[IMAGE_COLUMNS])
    except OSError as error:
        raise UserError(f"--run_dir: cannot write to {folder}: {error.strerror}.") from error
    return folder


def clear(folder: Path) -> None:
    """Removes what a run wrote into `folder`."""
    simulated = False
    if (folder / "config.json").exists():
        simulated = Config.from_json(folder / "config.json").mode == "simulate"
    for name in WRITTEN + (SIMULATED if simulated else ()):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def read_images(folder: Path) -> pd.DataFrame:
    """The Catalog rows of a run, from its images.csv."""
    frame = _read_csv(folder / "images.csv", IMAGE_COLUMNS)
    return frame.assign(fast=frame["fast"] == "True")


def read_splits(folder: Path) -> pd.DataFrame:
    """The run's splits.csv."""
    return _read_csv(folder / "splits.csv", ["split_id", "path", "role", "label", "split"])


def read_scores(folder: Path) -> pd.DataFrame:
    """Scores of a run's test images, those of folds if there are any.

    Returns:
        DataFrame with split_id, name, patient, label, decision and score. The scores of a split
        are centred on its validation images, as in the evaluation.
    """
    text = {"split_id": str, "name": str, "patient": str}
    frame = pd.read_csv(folder / "scores.csv", dtype=text, keep_default_na=False)
    validation = frame[frame["split"] == "validation"].groupby("split_id")["score"].mean()
    tested = frame[frame["split"] == "test"]
    crossed = tested[tested["split_id"] != "main"]
    if len(crossed):
        centre = crossed["split_id"].map(validation)
        return crossed.assign(score=crossed["score"] - centre).reset_index(drop=True)
    return tested.reset_index(drop=True)


def digest_of(path: str | Path) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def environment() -> dict:
    """Versions and machine, for environment.json."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "ganfp": __version__,
        "packages": versions,
    }


def require(folder: Path, *names: str) -> None:
    """Raises `UserError` if a run folder lacks a file that a mode needs."""
    if not folder.is_dir():
        raise UserError(f"--run_dir: there is no folder {folder}. Train first, or name another.")
    for name in names:
        if not (folder / name).exists():
            raise UserError(
                f"--run_dir: {folder} has no {name}. Train first: the same command with "
                "--mode=train goes on where it stopped."
            )


def _check_mode(old, new, folder):
    if old.mode != new.mode and {old.mode, new.mode} & set(KINDS):
        raise UserError(
            f"--run_dir: {folder} holds a run of --mode={old.mode}, not of --mode={new.mode}. Take "
            "another --run_dir, or --overwrite it."
        )


def _check_free(folder):
    found = [name for name in SIMULATED if (folder / name).exists()]
    if found:
        raise UserError(
            f"--run_dir: {folder} holds {', '.join(found)}, which no simulation wrote. Take "
            "another --run_dir."
        )


def _check_settings(old, new, folder):
    before, now = old.bound_settings(), new.bound_settings()
    changed = [name for name in before if before[name] != now[name]]
    if changed:
        pairs = ", ".join(f"{name} (was {before[name]}, now {now[name]})" for name in changed)
        raise UserError(
            f"--run_dir: {folder} holds a run with other settings: {pairs}. Take another "
            "--run_dir, or --overwrite it."
        )


def _check_images(folder, frame):
    if not (folder / "images.csv").exists():
        return
    columns = ["role", "label", "patient", "digest"]
    before = read_images(folder)[columns].to_numpy().tolist()
    if sorted(before) != sorted(frame[columns].to_numpy().tolist()):
        raise UserError(
            f"--run_dir: {folder} was made from other images or labels than --data holds now. "
            "Take another --run_dir, or --overwrite it."
        )


def _read_csv(path, columns):
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False).map(files.unescape_cell)
        missing = [name for name in columns if name not in frame]
        if missing:
            raise ValueError(f"it has no column {', '.join(missing)}")
        return frame.astype({"label": int})
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read: {error}. A run writes it itself; start anew with --overwrite."
        ) from error
