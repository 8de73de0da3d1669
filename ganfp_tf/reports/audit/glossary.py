"""The words of an audit, each in a sentence or two, and links from where they first occur."""

import re

import markupsafe

from ganfp_tf.reports.render.tables import printable

GLOSSARY = {
    "membership inference": "Finding out whether a given image was among those a model was trained "
    "on.",
    "victim": "The generator that is audited. Only its generated images are looked at; its weights "
    "are not needed.",
    "generated image": "An image that the victim drew, such as those that are to be published.",
    "candidate": "A real image of which it is asked whether the victim was trained on it.",
    "member": "An image that the victim was trained on. A non-member is one that it was not "
    "trained on.",
    "suspect": "A real image that may be a member. Where labels are known, the suspects are the "
    "images that were used.",
    "reference": "Real images of the same kind that are known not to have been used. They show "
    "what scores arise without any use.",
    "detector": "A rule that gives each real image a score from the generated images; a higher "
    "score speaks for use.",
    "primary detector": "The one detector, fixed before the figures were seen, that the verdict "
    "rests on. All others stand beside it.",
    "stack": "A detector that weighs several others. Its weights are fitted on images of other "
    "patients than those it then scores.",
    "AUC": "Area under the ROC curve: how often an image that was used scores above one that was "
    "not, among all such pairs. 0.5 is chance, 1 is perfect.",
    "ROC curve": "For every threshold, the share of used images above it (true positive rate) "
    "against the share of not used ones above it (false positive rate). On a logarithmic axis the "
    "few images that can be named with hardly an error can be seen.",
    "TPR at FPR": "True positive rate at a false positive rate: the share of used images that is "
    "found if the threshold lets through at most so many of the images that were not used. It is "
    "not resolvable where there are too few of the latter to tell so small a rate from none.",
    "threshold": "The score from which on an image is called used.",
    "kappa": "Cohen's kappa: agreement of the decisions with the truth beyond what chance gives. 0 "
    "is chance, 1 is full agreement.",
    "F1": "The harmonic mean of precision (how many of those called used were used) and recall "
    "(how many of the used ones were called so).",
    "confidence interval": "A range that, made in the same way again and again, would contain the "
    "true value as often as its level says. Here patients are resampled, because images of one "
    "patient resemble each other.",
    "permutation p": "The probability of a figure at least as high if it did not matter which "
    "patients were used: the labels of patients are shuffled many times and the figure is computed "
    "anew.",
    "Welch's t-test": "A test of whether the means of two groups differ that does not assume equal "
    "spread in both.",
    "false discovery rate": "The expected share of errors among the images that are flagged "
    "(Benjamini and Hochberg). q is the lowest rate at which an image would be flagged.",
    "flagged": "Of a score so high that, at the chosen false discovery rate, the image counts as "
    "used.",
    "power": "The probability that the test finds an effect of a given size if it is there.",
    "minimum detectable AUC": "The AUC that would be found with the stated power. Weaker "
    "memorisation than that may go unseen in data of this size.",
    "control": "A test with a known answer that is run beside the audit. A negative control has to "
    "find nothing, a positive one has to find what was put there. Where one fails, the verdict is "
    "not to be trusted.",
    "planted copy": "A real image that was put among the generated ones on purpose, changed as a "
    "generator might change it. A detector that does not find it would not find memorisation "
    "either.",
    "blind baseline": "A detector that never looks at a generated image. If it tells used from not "
    "used images apart, the two groups differ in something else than use.",
    "stand-in generator": "A small generator trained here on known images, in place of the victim, "
    "to see whether the detectors find its members.",
    "shadow generator": "A generator trained on a known random half of the real images. It shows "
    "how an image scores when it was used and when it was not.",
    "epsilon": "The parameter of differential privacy: the lower, the more private. The audit "
    "gives a bound from below; the true value may be far higher.",
    "patient-disjoint folds": "Parts of the data such that no patient is in two of them. What is "
    "fitted on some is measured on another one, so nothing is tested on a patient it has seen.",
    "sibling": "An image that was not used, of a patient of whom others were used.",
    "duplicate": "A file that holds the same image as another one.",
    "digest": "A checksum (SHA-256) of the files. The same digest means the same data.",
}
# Other forms under which a term occurs in sentences.
FORMS = {
    "generated image": ("generated images",),
    "AUC": ("AUCs",),
    "ROC curve": ("ROC",),
    "TPR at FPR": ("TPR", "true positive rate", "false positive rate", "not resolvable"),
    "permutation p": ("permutation test", "permutation"),
    "Welch's t-test": ("Welch's t", "Welch"),
    "member": ("non-member", "non-members", "members"),
    "primary detector": ("primary",),
    "confidence interval": ("confidence intervals", "interval", "intervals"),
    "planted copy": ("planted copies", "planted"),
    "patient-disjoint folds": ("patient-disjoint", "folds"),
    "blind baseline": ("blind detector", "blind"),
    "stand-in generator": ("stand-in",),
    "shadow generator": ("shadows", "shadow"),
}

# A figure with its interval, a p-value and a flag: kept on one line.
FIGURE = r"[\u2212\d.%]+ \[[\u2212\d., ]{3,24}\]|\b[pq] [<=] \.\d+|--\w+(?:=[\w.]+)?"


def anchor(term: str) -> str:
    """The id of a term in the page: "TPR at FPR" -> "term-tpr-at-fpr"."""
    return "term-" + re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


class Linker:
    """Turns text into HTML in which the first occurrence of each term leads to the glossary.

    One of them serves one page, whose sentences it is given in order. Text is escaped; nothing is
    markup but the links and what keeps a figure and its interval on one line.
    """

    def __init__(self) -> None:
        """No term has occurred yet."""
        self._terms = {}
        for term in GLOSSARY:
            for form in (term, term + "s", *FORMS.get(term, ())):
                self._terms[form.lower()] = term
        longest_first = sorted(self._terms, key=len, reverse=True)
        words = "|".join(map(re.escape, longest_first))
        self._pattern = re.compile(rf"((?<![\w-])(?:{words})(?![\w-])|{FIGURE})", re.IGNORECASE)
        self._seen = set()

    def __call__(self, text: object) -> markupsafe.Markup:
        """`text` as safe HTML."""
        # An odd number of parts: what lies between the terms, and the terms.
        parts = self._pattern.split(printable(text))
        return markupsafe.Markup("").join(
            self._link(part) if number % 2 else markupsafe.escape(part)
            for number, part in enumerate(parts)
        )

    def _link(self, form):
        term = self._terms.get(form.lower())
        if term is None:
            return markupsafe.Markup('<span class="nowrap">{}</span>').format(form)
        if term in self._seen:
            return markupsafe.escape(form)
        self._seen.add(term)
        return markupsafe.Markup('<a class="term" href="#{}">{}</a>').format(anchor(term), form)
