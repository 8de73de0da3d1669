"""Demo data: a simulated victim of phantoms, for a first command with no data at hand."""

import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent / "phantoms"
WHAT = (
    "It is a simulated victim, trained on procedural lung CT: no patient is in it. "
    "--mode=benchmark shows what other detectors find in it."
)


def is_there():
    """Whether the data lies beside the code; a packager may have left it out."""
    return (FOLDER / "manifest.csv").is_file()
