"""From metrics to one of four answers, by rules that are fixed before the metrics are known."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Literal

from ganfp_tf.audit.field_types import Kind, Sentences
from ganfp_tf.audit.parts import Part

Code = Literal["evidence", "no_evidence", "inconclusive", "not_trustworthy"]
KINDS = ("labelled", "reference", "suspects")

HEADLINES = {
    "evidence": "Evidence that the images were used",
    "no_evidence": "No evidence of use at this power",
    "inconclusive": "Inconclusive",
    "not_trustworthy": "Not trustworthy: a control failed",
}


@dataclasses.dataclass(frozen=True)
class Verdict(Part):
    """The answer, in words for someone who is no statistician.

    Attributes:
        code: a key of HEADLINES.
        headline: its heading.
        because: what the answer rests on.
        not_shown: what it must not be taken for.
        failed_controls: names of controls
    """

    code: Code
    headline: str
    because: Sentences
    not_shown: Sentences
    failed_controls: Sentences


def judge(
    *,
    kind: Kind,
    p: float | None,
    auc: float | None,
    auc_low: float | None,
    auc_high: float | None,
    detectable_auc: float | None,
    failed: Iterable[tuple[str, str]] = (),
    not_run: Iterable[str] = (),
    alpha: float = 0.05,
    enough: float = 0.65,
    power: float = 0.8,
    confidence: float = 0.95,
    n_flagged: int = 0,
    fdr: float = 0.05,
) -> Verdict:
    """Judges the primary detector.

    1. A failed control: "not_trustworthy", whatever the metrics.
    2. No images known to be unused (kind "suspects"), or a metric that is not defined:
       "inconclusive".
    3. p < alpha and the interval of the AUC above 0.5: "evidence".
    4. p >= alpha, the interval not above 0.5, and a true AUC of `enough` would have been found with
       probability `power`: "no_evidence".
    5. All else: "inconclusive".

    Args:
        kind: one of KINDS.
        p: permutation p over patients, one-sided; None or nan where there is none, as below.
        auc: AUC of suspects (or used images) against the others.
        auc_low: lower end of its interval.
        auc_high: upper end.
        detectable_auc: true AUC that these numbers of patients find with probability `power`.
        failed: (name, why) of each failed control; why is a sentence.
        not_run: names of the controls that could not be run.
        alpha: level of the test.
        enough: AUC that the test must be able to find before its silence counts.
        power: of `detectable_auc`, for the wording.
        confidence: of the interval, for the wording.
        n_flagged: images flagged one by one.
        fdr: false discovery rate of the flagged images.

    Returns:
        A `Verdict`.

    Raises:
        ValueError: an unknown kind, or alpha or enough outside of (0, 1).
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}. Received: kind={kind!r}")
    for name, value in (("alpha", alpha), ("enough", enough)):
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} must lie between 0 and 1. Received: {name}={value}")
    failed = tuple(failed)
    figures = [math.nan if x is None else float(x) for x in (p, auc, auc_low, auc_high)]
    p, auc, low, high = figures
    detectable = math.nan if detectable_auc is None else float(detectable_auc)

    code: Code
    if failed:
        code = "not_trustworthy"
        because = [
            "A control tests the audit itself with images whose answer is known. As long as one "
            "fails, none of the other figures can be relied on, in either direction.",
            *(f'The control "{name}" failed: {_sentence(why)}' for name, why in failed),
        ]
    elif kind == "suspects":
        code = "inconclusive"
        because = [
            "Without images known to be unused nothing can be tested: there is nothing to say how "
            "high an unused image would score. The suspects are ranked, no more."
        ]
    elif any(math.isnan(x) for x in figures):
        code = "inconclusive"
        because = [
            "There are not both suspects and images known to be unused that could be compared, so "
            "there is no test."
        ]
    else:
        measured = _measured(p, auc, low, high, alpha, confidence, _SUSPECT[kind])
        code, reasons = _weigh(p, low, high, detectable, alpha, enough, power)
        because = [*measured, *reasons]
        if n_flagged:
            because.append(_flagged(n_flagged, fdr, code))
    not_shown = [*_not_shown(code, kind), *(_not_run(name) for name in not_run)]
    names = tuple(name for name, _ in failed)
    return Verdict(code, HEADLINES[code], tuple(because), tuple(not_shown), names)


def _measured(p, auc, low, high, alpha, confidence, suspect):
    chance = "less than 0.001" if p < 0.001 else f"{p:.3f}"
    if p < alpha and p >= 0.001 and float(chance) >= alpha:
        chance = f"just below {alpha:g}"
    return (
        f"Of {suspect} and an image known to be unused, drawn at random, the first scores higher "
        f"in {100 * auc:.0f}% of cases (AUC {auc:.3f}, {100 * confidence:g}% interval {low:.3f} "
        f"to {high:.3f}); chance is 50%.",
        "If the generated images held no trace of use, a difference as large as this one would "
        f"come about with a probability of {chance}; less than {alpha:g} counts as evidence.",
    )


def _weigh(p, low, high, detectable, alpha, enough, power):
    """Code and reasons of rules 3 to 5; every figure but `detectable` is a number."""
    significant, above = p < alpha, low > 0.5
    if significant and not above:
        return "inconclusive", [
            "The two do not agree: the probability is small enough, yet the interval does not lie "
            "above chance. More patients are needed."
        ]
    if above and not significant:
        return "inconclusive", [
            "The two do not agree: the interval lies above chance, yet the probability is not "
            "small enough. More patients are needed."
        ]
    if math.isnan(detectable):
        return "inconclusive", [
            "There are too few patients for such figures to be relied on: not even a perfect "
            "separation of so few could be told from chance."
        ]
    if significant:
        return "evidence", []
    reasons = []
    if high < 0.5:
        reasons.append(
            "The images in question score clearly lower than those known to be unused, which use "
            "does not explain: look for another difference between the two groups."
        )
    chance = f"{100 * power:.0f}%"
    if detectable > enough:
        reasons.append(
            f"There are too few patients for this to mean much: a true AUC below {detectable:.3f} "
            f"would be noticed with a probability of less than {chance}, and {enough:g} was asked "
            "for."
        )
        return "inconclusive", reasons
    reasons.append(
        f"The test could have noticed use: a true AUC of {detectable:.3f} is noticed with a "
        f"probability of {chance}, and {enough:g} was asked for."
    )
    return "no_evidence", reasons


_SUSPECT = {"labelled": "an image said to be used", "reference": "a suspect"}

_OTHER_CAUSES = (
    "That use is the only explanation: it is only if the images in question and those known to be "
    "unused differ in nothing else, such as device, hospital, date or processing."
)
_OTHER_ATTACKS = (
    "What other attacks would find, or an attacker who has the model's weights, more generated "
    "images or images known to have been used."
)

_NOT_SHOWN = {
    "evidence": (
        "Which images were used, beyond those that are flagged one by one.",
        "That a person can be recognised in the generated images, or that an image was copied.",
        _OTHER_CAUSES,
        _OTHER_ATTACKS,
    ),
    "no_evidence": (
        "That no single image left a trace: the test looks at all of them together.",
        _OTHER_ATTACKS,
        "Anything about other images of the same patients, or about other generated images.",
        "That the generated images are no personal data: that is a legal question, to which this "
        "is one piece of information.",
    ),
    "inconclusive": (_OTHER_ATTACKS,),
    "not_trustworthy": (
        "Whether the images were used: the figures may come from a difference between the groups "
        "or from a fault of the method.",
    ),
}


def _not_shown(code, kind):
    # Labelled images are said to be used, so what stays open is not whether they were.
    labelled = kind == "labelled"
    first = ()
    if code == "no_evidence":
        claim = "use left no trace" if labelled else "the images were not used"
        first = (f"That {claim}: a trace weaker than this test can notice may be there.",)
    elif code == "inconclusive":
        open_question = "use left a trace" if labelled else "the images were used"
        first = (f"Whether {open_question}: this is an answer in neither direction.",)
    return first + _NOT_SHOWN[code]


def _flagged(n_flagged, fdr, code):
    images = "1 image is" if n_flagged == 1 else f"{n_flagged} images are"
    text = f"{images} flagged one by one, of which {100 * fdr:g}% at most are expected to be wrong"
    if code == "evidence":
        return f"{text}."
    return (
        f"{text}; the answer rests on the comparison of all images and not on these: look at them."
    )


def _not_run(name):
    return f'What the control "{name}" would have said: it could not be run.'


def _sentence(text):
    text = str(text).strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def gate(
    verdict_code: Code,
    auc: float | None,
    *,
    fail_above_auc: float | None = None,
    fail_on_evidence: bool = False,
) -> tuple[int, str]:
    """The exit code for a pipeline, and why: 0 passed or no gate, 3 tripped, 4 not to be judged.

    4 comes first: where a control failed or there is no AUC, a wanted gate has neither passed nor
    been tripped.

    Args:
        verdict_code: a key of HEADLINES.
        auc: the primary detector's; None or nan where there is none.
        fail_above_auc: AUC above which the gate trips, in [0, 1], or None for no such gate.
        fail_on_evidence: whether "evidence" trips it.

    Returns:
        (exit code, sentence).
    """
    if verdict_code not in HEADLINES:
        raise ValueError(
            f"verdict_code must be one of {', '.join(HEADLINES)}. Received: {verdict_code!r}"
        )
    if fail_above_auc is not None and not 0.0 <= fail_above_auc <= 1.0:
        raise ValueError(
            f"fail_above_auc must lie in [0, 1]. Received: fail_above_auc={fail_above_auc}"
        )
    if fail_above_auc is None and not fail_on_evidence:
        return 0, "No gate was asked for."
    if verdict_code == "not_trustworthy":
        return 4, "A control failed, so the gate can neither pass nor trip."
    if auc is None or math.isnan(auc):
        return 4, "There is no AUC, so the gate can neither pass nor trip."
    reasons = []
    if fail_above_auc is not None and auc > fail_above_auc:
        reasons.append(f"the AUC {auc:.3f} is above {fail_above_auc:g}")
    if fail_on_evidence and verdict_code == "evidence":
        reasons.append("there is evidence of use")
    if reasons:
        return 3, f"The gate tripped: {' and '.join(reasons)}."
    passed = []
    if fail_above_auc is not None:
        passed.append(f"the AUC {auc:.3f} is not above {fail_above_auc:g}")
    if fail_on_evidence:
        passed.append(f'the verdict is "{HEADLINES[verdict_code]}" and not evidence of use')
    return 0, f"The gate did not trip: {' and '.join(passed)}."
