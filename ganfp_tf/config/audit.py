"""The settings of an audit: who is suspected, who is known to be unused, and what fails."""

import dataclasses

from ganfp_tf.config.field import Condition, setting
from ganfp_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class AuditSettings:
    """The settings that only audits read."""

    # A table: one setting a paragraph reads better than one argument a line.
    # fmt: off
    # Audit
    suspects: str = setting(
        "", "Real images that may have been used, where no labels are known: a folder or a CSV. "
        "--data then gives the generated images.", group="Audit", role="place", modes=("audit",))
    reference: str = setting(
        "", "With --suspects: real images of the same kind that are known not to have been used. "
        "Without them nothing can be tested.", group="Audit", role="place", modes=("audit",),
        needs=Condition("suspects"))
    unrelated_generated: str = setting(
        "", "Negative control: a folder of images by a generator that saw none of the real images. "
        "Left out: images made from half of the suspects stand in.", group="Audit", role="place",
        modes=("audit",))
    fdr: float = setting(
        0.05, "Largest expected share of false alarms among the images that are named as used.",
        group="Audit", low=0.001, high=0.5, role="report", modes=("audit",))
    fail_above_auc: float = setting(
        0.0, "Exit with code 3 where the AUC of the audit's detector is above this, for pipelines; "
        "0 leaves it out.", group="Audit", low=0.0, high=1.0, role="report", modes=("audit",))
    fail_on_evidence: bool = setting(
        False, "Exit with code 3 where the verdict is evidence of use, for pipelines. Either gate "
        "exits with code 4 where a control failed.", group="Audit", role="report", modes=("audit",))
    # fmt: on

    def check_audit(self) -> None:
        """Raises `UserError` if a gate needs an AUC that the images cannot give."""
        if self.fail_above_auc and self.suspects and not self.reference:
            raise UserError(
                "--fail_above_auc needs an AUC, and without --reference there is none: hand in "
                "images known not to have been used."
            )
