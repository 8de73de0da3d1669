"""Demo data: a simulated victim of phantoms, for a first command with no data at hand.

The package holds one archive; it is unpacked into the user's cache when it is first used.
"""

import functools
import os
import pathlib
import shutil
import tempfile
import zipfile

from ganfp_tf.errors import UserError

ARCHIVE = pathlib.Path(__file__).resolve().parent / "phantoms.zip"
DIGEST = "a74a6d191dbc2c1ee460f57ede6b3dc088db43c43f231ad90d56c639f7172e02"  # SHA-256
WHAT = (
    "It is a simulated victim, trained on procedural lung CT: no patient is in it. "
    "--mode=benchmark shows what other detectors find in it."
)


def is_there() -> bool:
    """Whether the archive lies beside the code; a packager may have left it out."""
    return ARCHIVE.is_file()


@functools.cache
def folder() -> pathlib.Path:
    """Where the data is, or will be once unpacked: in the cache, or in a temporary folder."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = pathlib.Path(home) / "ganfp"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        writable = os.access(cache, os.W_OK)
    except OSError:
        writable = False
    name = f"demo-{DIGEST[:12]}"
    if writable or _is_unpacked(cache / name):
        return cache / name
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return pathlib.Path(tempfile.gettempdir()) / f"ganfp-{user}" / name


def unpack() -> pathlib.Path:
    """Unpacks the archive unless that was done before; returns `folder()`.

    Raises:
        UserError: there is no archive, it is damaged, or there is no room for it.
    """
    target = folder()
    if _is_unpacked(target):
        return target
    temporary = None
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = pathlib.Path(tempfile.mkdtemp(prefix=".tmp-", dir=target.parent))
        with zipfile.ZipFile(ARCHIVE) as archive:
            archive.extractall(temporary)
        if target.exists():  # what an earlier, interrupted removal has left
            shutil.rmtree(target)
        os.replace(temporary, target)
    except (OSError, zipfile.BadZipFile) as error:
        if _is_unpacked(target):  # by another process in the meantime
            return target
        raise UserError(
            f"the demo data cannot be unpacked into {target}: {error}. Pass --data=FOLDER to use "
            "images of your own."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def _is_unpacked(target: pathlib.Path) -> bool:
    return (target / "manifest.csv").is_file()
