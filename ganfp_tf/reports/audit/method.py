"""What an audit says of itself: method, limits, and why a control failed."""

from typing import TYPE_CHECKING, Any

from ganfp_tf.reports.render.tables import format_interval, format_p

if TYPE_CHECKING:
    from ganfp_tf.audit.case import Case
    from ganfp_tf.audit.control import Control


def method(case: "Case") -> list[str]:
    """How it was done: sentences."""
    config = case.config
    title = case.detector(case.detectors.primary).title
    lines = [
        f"Every detector scores every real image against the {len(case.generated)} generated ones; "
        "a higher score means used. The verdict rests on one of them, fixed before anything was "
        f"scored: {title}. The others stand beside it, and the best of them is best with "
        "hindsight.",
        "Images of a patient stay together: in folds, in resamples, in permutations and in "
        "distances, where an image is never compared with others of its own patient.",
    ]
    if case.labelled:
        lines.append(
            f"Labels set weights and thresholds only, by cross-fitting over {case.folds} "
            "patient-disjoint folds: no image had a part in how it was scored. Scores are ranked "
            "within their folds."
        )
    if case.kind != "suspects":
        lines += [
            f"Intervals: {config.confidence:.0%}, {config.bootstrap} resamples of patients. p: "
            f"{config.permutations} permutations of patients, each with the mean of its images, "
            "(1 + b) / (1 + B). Rates at few false alarms also have Clopper-Pearson intervals, and "
            "are not given where the images not used are too few for one false alarm.",
            "Images are named one by one by their p against the images not used, adjusted by "
            f"Benjamini and Hochberg: at most {config.fdr:.0%} of those named are expected to be "
            "false alarms.",
        ]
    lines.append(
        "Negative controls ask where nothing is to be found: random halves of the same detector, "
        "other generated images of the plain mean of its signals. Positive ones ask where copies "
        "were planted. Negative controls together raise a false alarm in at most 5% of audits "
        "(Holm)."
    )
    return lines


def limits(case: "Case") -> list[str]:
    """What it cannot say: sentences."""
    lines = [
        "Absence of evidence is bounded by the power above: a use that moves the AUC less than "
        "that would not have been seen.",
        "Only attacks that have the generated images alone were tried. Who has the generator, its "
        "discriminator or a second release can find more.",
        "An image's score says how much it looks used. Distance alone is no proof of use and never "
        "proof of the contrary.",
    ]
    if case.kind != "suspects":
        lines.append(
            "Suspects and images not used must differ in nothing but their use. The blind controls "
            "and the stand-in generator look for other differences, at the power they have."
        )
    if case.real["patient"].nunique() == len(case.real):
        lines.append(
            "Every image counts as a patient of its own. If patients have several, say so "
            "(--patient_regex or a column patient): intervals would be wider."
        )
    return lines


def why(control: "Control") -> str:
    """Why a failed control failed: a sentence."""
    asked = "must not tell" if control.kind == "negative" else "must tell"
    figure = format_interval(control.auc, control.low, control.high)
    return f"it {asked} two groups apart, and its AUC is {figure}, p {_equal(control.p)}"


def spoken(audit: dict[str, Any]) -> str:
    """The verdict as the terminal shows it."""
    judged = audit["verdict"]
    lines = [judged["headline"].upper(), *judged["because"]]
    if audit["gate"]["exit_code"]:
        lines.append(f"exit code {audit['gate']['exit_code']}: {audit['gate']['why']}")
    return "\n".join(lines)


def _equal(p):
    text = format_p(p)
    return text if text.startswith("<") else f"= {text}"
