"""A complete audit of each kind, as `--mode=audit` computes it, for the tests of its reports."""

import copy

EVIL = (
    "<img src=x onerror=alert(1)>.png",
    '=HYPERLINK("http://evil.example/a")',
    '"><script>alert(1)</script>',
    "[x](javascript:alert(1))",
    "![x](http://evil.example/b.png)",
    "a | pipe",
    "a\n# new line",
    "\u202egnp.exe",
    "<http://evil.example/c>",
    "www.evil.example",
    "</style></title><b>",
    "{{ 7 * 7 }}",
    "`code`",
    "&lt;b&gt;",
    "# heading",
    "1. item",
)


def figure(value, low, high):
    return {"value": value, "low": low, "high": high}


def tpr(values):
    """(value, low, high, exact low, exact high, false positives) or None, at the four rates."""
    keys = ("value", "low", "high", "exact_low", "exact_high", "false_positives")
    return [
        {
            "fpr": fpr,
            **dict(zip(keys, value or (None,) * 5 + (0,), strict=True)),
            "resolvable": value is not None,
            "negatives": 100,
        }
        for fpr, value in zip((0.1, 0.05, 0.01, 0.001), values, strict=True)
    ]


def detector(
    name,
    title,
    auc,
    p,
    *,
    less=None,
    primary=False,
    control=False,
    network=False,
    labels=False,
    seconds=2.0,
):
    low, high = max(auc - 0.06, 0), min(auc + 0.05, 1)
    rate = max(0.02, 2 * auc - 1.05)
    return {
        "name": name,
        "title": title,
        "primary": primary,
        "control": control,
        "network": network,
        "uses_labels": labels,
        "seconds": seconds,
        "peak_bytes": 640_000_000,
        "auc": figure(auc, low, high),
        "p": p,
        "kappa": figure(2 * auc - 1.2, 2 * auc - 1.33, 2 * auc - 1.08),
        "accuracy": figure(auc - 0.08, auc - 0.13, auc - 0.03),
        "f1": figure(auc - 0.07, auc - 0.12, auc - 0.02),
        "precision": figure(auc - 0.05, auc - 0.12, auc - 0.01),
        "recall": figure(auc - 0.09, auc - 0.15, auc - 0.02),
        "tpr": tpr(
            [
                (rate, rate * 0.8, rate * 1.15, rate * 0.78, rate * 1.16, 10),
                (rate * 0.9, rate * 0.6, rate * 1.1, rate * 0.6, rate * 1.1, 5),
                (rate * 0.7, rate * 0.3, rate, rate * 0.4, rate, 1),
                None,
            ]
        ),
        "less_best": less
        and {
            "other": "patches_pixels",
            "difference": less[0],
            "low": less[1],
            "high": less[2],
            "p": less[3],
            "method": "paired bootstrap",
        },
    }


def control(name, title, kind, auc, p, passed, expected, found, share=None, recovered=None):
    return {
        "name": name,
        "title": title,
        "kind": kind,
        "auc": auc and figure(*auc),
        "p": p,
        "adjusted_p": None if p is None else min(1.0, 4 * p),
        "passed": passed,
        "expected": expected,
        "found": found,
        "seconds": 4.2,
        "share": share,
        "recovered": recovered,
    }


NOTHING, FINDS = "An AUC of about 0.50: nothing is to be found.", "Copies are found: p below .05."
CONTROLS = [
    control(
        "members",
        "used against used images",
        "negative",
        (0.47, 0.35, 0.58),
        0.71,
        True,
        NOTHING,
        "AUC 0.47 [0.35, 0.58]: nothing was found.",
    ),
    control(
        "non_members",
        "not used against not used images",
        "negative",
        (0.50, 0.38, 0.62),
        0.5,
        True,
        NOTHING,
        "AUC 0.50 [0.38, 0.62]: nothing was found.",
    ),
    control(
        "unrelated",
        "generated images of an unrelated generator",
        "negative",
        None,
        None,
        None,
        NOTHING,
        "Could not be run: no unrelated generator at hand.",
    ),
    control(
        "blind_distance",
        "distance among real images, without the generated ones",
        "negative",
        (0.46, 0.37, 0.53),
        0.82,
        True,
        NOTHING,
        "AUC 0.46: nothing was found.",
    ),
    control(
        "blind_classifier",
        "classifier of real images, without the generated ones",
        "negative",
        (0.52, 0.43, 0.60),
        0.34,
        True,
        NOTHING,
        "AUC 0.52: nothing was found.",
    ),
    *(
        control(
            f"planted_{share}",
            f"copies planted, {share} % of the generated images",
            "positive",
            (auc, auc - 0.05, min(1, auc + 0.04)),
            0.0005,
            True,
            FINDS,
            f"{recovered:.0%} of the planted copies were found at 5 % false positives.",
            share / 100,
            recovered,
        )
        for share, auc, recovered in ((1, 0.81, 0.55), (5, 0.93, 0.82), (20, 0.97, 0.94))
    ),
    control(
        "stand_in_sees",
        "members of a stand-in generator trained here",
        "positive",
        (0.88, 0.81, 0.94),
        0.0005,
        True,
        FINDS,
        "AUC 0.88 [0.81, 0.94]: they were found.",
    ),
]
DETECTORS = [
    detector(
        "stack",
        "stack of eight detectors",
        0.91,
        0.0005,
        less=(0.05, 0.01, 0.10, 0.015),
        primary=True,
        labels=True,
        network=True,
        seconds=14,
    ),
    detector(
        "mean",
        "plain mean of eight detectors",
        0.90,
        0.0005,
        less=(0.04, 0.01, 0.08, 0.015),
        network=True,
        seconds=3,
    ),
    detector(
        "hits_copies",
        "hits in the embedding of the Siamese network",
        0.88,
        0.0005,
        less=(0.03, -0.02, 0.08, 0.26),
        network=True,
        seconds=412,
    ),
    detector("patches_pixels", "8x8 patches, calibrated", 0.85, 0.0005, seconds=15),
    detector(
        "calibrated_pixels",
        "distance in pixels, calibrated by real images",
        0.85,
        0.0005,
        less=(-0.01, -0.03, 0.01, 0.4),
    ),
    detector(
        "nearest_pixels",
        "nearest distance in pixels (GAN-Leaks)",
        0.73,
        0.0005,
        less=(-0.12, -0.17, -0.08, 0.0005),
    ),
    detector("blind_distance", "distance among real images alone", 0.46, 0.82, control=True),
]


def risky(number):
    return {
        "name": f"real/used/LIDC-IDRI-{number:04d}_slice_083.png",
        "patient": f"LIDC-{number:04d}",
        "group": "suspect",
        "score": 4.4 - number / 3,
        "p": 0.0099,
        "q": 0.024 + number / 500,
        "flagged": number < 6,
        "generated": [
            {"name": f"generated/g{number}{k}.png", "distance": 0.11 + k / 40} for k in range(3)
        ],
        "neighbour": {
            "name": "real/not_used/LIDC-0707.png",
            "patient": "LIDC-0707",
            "distance": 0.31,
        },
    }


LABELLED = {
    "schema": "urn:ganfp:audit:1",
    "ganfp": "0.1.0",
    "created": "2026-11-24T20:00:00+00:00",
    "question": {
        "kind": "labelled",
        "data": "clinic/lung_ct",
        "suspects": {"images": 100, "patients": 60, "name": "used images"},
        "reference": {"images": 100, "patients": 62, "name": "images not used"},
        "generated": 5000,
        "lost": [],
    },
    "verdict": {
        "code": "evidence",
        "headline": "There is evidence that the generator repeats images it was trained on.",
        "because": [
            "The primary detector (stack of eight detectors) gives images that were used higher "
            "scores than images that were not: AUC 0.91 [0.86, 0.96], p < .001 (permutation test "
            "over patients).",
            "34 of 100 images are flagged at a false discovery rate of 5%.",
            "All controls that could be run came out as they had to.",
        ],
        "not_shown": [
            "Which single images were used: at the false discovery rate of 5%, about 2 of the 34 "
            "flagged ones are expected to be errors.",
            "That images which are not flagged are protected: a stronger attack may find them.",
        ],
        "failed_controls": [],
    },
    "gate": {
        "fail_above_auc": 0.6,
        "fail_on_evidence": False,
        "exit_code": 3,
        "why": "The lower end of the AUC's interval, 0.86, lies above --fail_above_auc=0.6.",
    },
    "primary": "stack",
    "confidence": 0.95,
    "alpha": 0.05,
    "fdr": 0.05,
    "resamples": 2000,
    "permutations": 9999,
    "folds": 5,
    "seed": 0,
    "detectors": DETECTORS,
    "images": {
        "tested": 100,
        "flagged": 34,
        "fdr": 0.05,
        "smallest_p": 0.0099,
        "resolvable": True,
        "note": "With 100 images that were not used no p below .0099 can occur.",
    },
    "set": {
        "welch_t": 8.14,
        "welch_df": 117.3,
        "welch_p": 3.1e-13,
        "permutation_p": 0.0001,
        "permutations": 9999,
        "difference": figure(1.24, 0.95, 1.53),
        "unit": "patient",
        "suspects": 60,
        "reference": 62,
    },
    "power": {
        "significant_auc": 0.59,
        "detectable_auc": 0.64,
        "alpha": 0.05,
        "power": 0.8,
        "suspects": 60,
        "reference": 62,
        "curve": [[0.5, 0.05], [0.55, 0.24], [0.6, 0.59], [0.65, 0.87], [0.7, 0.98]],
        "found": "The AUC found, 0.91, is well above what data of this size can detect.",
    },
    "share": {
        "value": 0.61,
        "low": 0.48,
        "high": 0.72,
        "method": "Storey, lambda 0.5",
        "note": "Of the used images about 61% leave a trace in the generated ones.",
    },
    "patients": {
        "n": 122,
        "auc": figure(0.93, 0.88, 0.97),
        "p": 0.0001,
        "pooling": "mean of a patient's images",
        "kappa": figure(0.68, 0.55, 0.8),
        "tpr": tpr([(0.8, 0.66, 0.9, 0.68, 0.89, 6), (0.72, 0.5, 0.84, 0.59, 0.83, 3), None, None]),
    },
    "siblings": {
        "images": 48,
        "patients": 31,
        "auc": figure(0.58, 0.49, 0.67),
        "p": 0.06,
        "note": "Images of used patients that were not used themselves cannot be told from others.",
    },
    "epsilon": {
        "low": 1.42,
        "confidence": 0.95,
        "delta": 0.0,
        "true_positives": 63,
        "used": 100,
        "false_positives": 5,
        "unused": 100,
        "note": "Training with differential privacy at an epsilon below this bound would "
        "not allow what was seen.",
    },
    "controls": CONTROLS,
    "data": {
        "counts": [["real, used", 100, 60], ["real, not used", 100, 62], ["generated", 5000, None]],
        "sizes": [["64x64", 5196], ["512x512", 4]],
        "duplicates": ["2 files occur twice and count once."],
        "warnings": ["The used images are brighter than the others (mean 0.41 and 0.39)."],
        "unreadable": [["real/used/broken.png", "not an image that can be read"]],
        "digests": [
            ["real, used", "9f2c" * 16],
            ["real, not used", "77ab" * 16],
            ["generated", "01de" * 16],
        ],
    },
    "riskiest": [risky(number) for number in range(1, 9)],
    "method": [
        "Every real image is scored by detectors that compare it with the generated images.",
        "Weights and thresholds are fitted in 5 patient-disjoint folds.",
        "Intervals resample patients 2000 times; p-values come from 9999 permutations of patients.",
    ],
    "limits": [
        "A detector can find use; no detector can show that an image was not used.",
        "Used and not used images must differ in nothing else, such as scanner or year.",
    ],
    "settings": {
        "mode": "audit",
        "data": "clinic/lung_ct",
        "image_size": 64,
        "folds": 5,
        "seed": 0,
        "fail_above_auc": 0.6,
        "run_dir": "",
    },
    "environment": {
        "python": "3.12.3",
        "platform": "Linux",
        "packages": {"tensorflow": "2.21.0", "numpy": "2.4.6"},
    },
    "seconds": 734.2,
    "peak_bytes": 2_140_000_000,
}


def labelled():
    """Labels are known; every part is there."""
    return copy.deepcopy(LABELLED)


def reference():
    """No labels: suspects against a reference. No evidence; no siblings, no epsilon, few images."""
    audit = labelled()
    audit["question"] |= {
        "kind": "reference",
        "data": "release",
        "suspects": {"images": 100, "patients": 60, "name": "suspects"},
        "reference": {"images": 100, "patients": 62, "name": "reference"},
        "lost": [
            "Without labels no detector can be fitted: the primary detector is a plain mean.",
            "Suspects and reference may differ in more than use; then so do their scores.",
        ],
    }
    audit["verdict"] |= {
        "code": "no_evidence",
        "headline": "No evidence was found that the suspects were used, at the power of this data.",
        "because": ["The primary detector (plain mean): AUC 0.53 [0.44, 0.62], p = .24."],
        "not_shown": ["That the suspects were not used, or that the generator is safe."],
    }
    audit["gate"] = {"fail_above_auc": None, "fail_on_evidence": False, "exit_code": 0, "why": ""}
    audit["primary"] = "mean"
    audit["detectors"] = [
        detector("mean", "plain mean", 0.53, 0.24, primary=True),
        detector("blind_distance", "blind", 0.5, 0.5, control=True),
    ]
    for row in audit["detectors"]:
        row |= dict.fromkeys(("kappa", "accuracy", "f1", "precision", "recall", "tpr"))
    audit["images"] |= {"flagged": 0, "resolvable": False}
    audit["patients"] |= {"auc": figure(0.54, 0.43, 0.65), "p": 0.22, "kappa": None, "tpr": None}
    audit["set"] |= {
        "welch_t": 0.71,
        "welch_p": 0.24,
        "permutation_p": 0.23,
        "difference": figure(0.09, -0.15, 0.33),
    }
    audit["power"]["found"] = "An AUC above 0.64 would most likely be seen."
    audit["siblings"] = audit["epsilon"] = None
    audit["share"] |= {"value": 0.0, "low": 0.0, "high": 0.21}
    audit["data"] |= {"duplicates": [], "warnings": [], "unreadable": []}
    return audit


def suspects():
    """Suspects alone: a ranking, and nothing that could be tested."""
    audit = reference()
    lost = ["No test can be made: there is nothing to compare with."]
    audit["question"] |= {"kind": "suspects", "reference": None, "lost": lost}
    audit["verdict"] |= {
        "code": "inconclusive",
        "headline": "A ranking, but no verdict.",
        "because": ["It is not known what scores arise without use."],
    }
    for name in ("images", "set", "power", "share", "patients"):
        audit[name] = None
    for row in audit["detectors"]:
        row |= dict.fromkeys(("auc", "p", "less_best"))
    for entry in audit["riskiest"]:
        entry |= {"p": None, "q": None, "flagged": False, "neighbour": None}
    audit["controls"] = audit["controls"][5:]
    return audit


def not_trustworthy():
    """A control failed."""
    audit = labelled()
    audit["verdict"] |= {
        "code": "not_trustworthy",
        "headline": "A control failed: the figures cannot be trusted.",
        "failed_controls": ["blind_classifier"],
    }
    audit["controls"][4] |= {
        "passed": False,
        "auc": figure(0.71, 0.63, 0.78),
        "p": 0.0005,
        "found": "AUC 0.71: used and not used images differ without it.",
    }
    return audit


def evil():
    """A labelled audit in which every text that comes from users is hostile."""
    audit = labelled()
    audit["question"]["data"] = "".join(EVIL)
    audit["data"]["warnings"] = [f"{text} is odd." for text in EVIL]
    audit["data"]["duplicates"] = [f"{text} occurs twice." for text in EVIL]
    audit["data"]["unreadable"] = [[text, text] for text in EVIL]
    audit["data"]["counts"] += [[text, 1, 1] for text in EVIL]
    audit["data"]["digests"] = [[text, "ab" * 32] for text in EVIL]
    audit["question"]["lost"] = list(EVIL)
    for number, text in enumerate(EVIL):
        audit["settings"][f"flag_{number}"] = text
        audit["environment"][text] = {text: text}
    audit["riskiest"] = [
        {
            **risky(1),
            "name": one,
            "patient": other,
            "generated": [{"name": other, "distance": 0.1}] * 3,
            "neighbour": {"name": other, "patient": one, "distance": 0.2},
        }
        for one, other in zip(EVIL[:8], EVIL[8:], strict=True)
    ]
    for part in ("because", "not_shown"):
        audit["verdict"][part] += EVIL
    audit["verdict"]["headline"] = " ".join(EVIL)
    audit["gate"]["why"] = " ".join(EVIL)
    audit["method"], audit["limits"] = list(EVIL), list(EVIL)
    return audit


KINDS = {made.__name__: made for made in (labelled, reference, suspects, not_trustworthy, evil)}
