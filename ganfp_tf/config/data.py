"""The settings of how images are read and split."""

import dataclasses

from ganfp_tf.config.field import parse_window, setting


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """How images are read and split."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    patient_regex: str = setting(
        "", "Regular expression whose first group, searched in a file's path, is the patient. A "
        "manifest's patient column comes first.", group="Data", role="data")
    skip_unreadable: bool = setting(
        False, "Go on without the files that cannot be read and list them in the report.",
        group="Data", role="data")
    window: str = setting(
        "", "Intensity window CENTER,WIDTH of DICOM and NIfTI files. Empty: the file's own.",
        group="Data", unit="HU", role="data")
    nifti_slice: int = setting(
        -1, "Axial slice of a NIfTI volume; -1 is the middle one.", group="Data", unit="index",
        low=-1, role="data")
    test_fraction: float = setting(
        0.2, "Share of patients (and of generated images) kept for the test.", group="Data",
        low=0.05, high=0.5)
    validation_fraction: float = setting(
        0.2, "Share of the remaining patients that early stopping and the threshold use.",
        group="Data", low=0.05, high=0.5)
    folds: int = setting(
        0, "Beside the one split, cross-fit over this many patient-disjoint folds; 0 leaves it "
        "out.", group="Data", unit="folds", low=0, high=20)
    # fmt: on

    @property
    def window_range(self) -> tuple[float, float] | None:
        """The intensity window as (center, width), or None."""
        return parse_window(self.window) if self.window else None
