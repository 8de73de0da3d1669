"""The audit's page: verdict first, each part or a sentence for it, no HTML of a user's."""

import html.parser
import itertools
import re

import pytest
from matplotlib.figure import Figure

from ganfp_tf.reports.audit import wording
from ganfp_tf.reports.audit.glossary import GLOSSARY, Linker, anchor
from ganfp_tf.reports.audit.overview import tiles
from ganfp_tf.reports.audit.page import as_html, image
from ganfp_tf.reports.audit.sections import RATES_NEED_LABELS
from ganfp_tf.reports.audit.tables import UNREADABLE_SHOWN
from ganfp_tf.reports.render.page import Picture
from tests.helpers.audit_example import EVIL, KINDS, evil, labelled, reference, suspects

VOID = {"meta", "img", "path", "circle", "br"}
OWN = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "div",
    "header",
    "h1",
    "h2",
    "h3",
    "bdi",
    "p",
    "main",
    "section",
    "svg",
    "path",
    "circle",
    "span",
    "ul",
    "ol",
    "li",
    "nav",
    "a",
    "dl",
    "dt",
    "dd",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "figure",
    "img",
    "article",
    "details",
    "summary",
}


class Page(html.parser.HTMLParser):
    """Collects tags with attributes, checks that they nest, and joins the text by section."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts, self._key = [], [], {}, "head"
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self._key = attributes["id"]

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts[self._key] = self.texts.get(self._key, "") + data

    def __getitem__(self, key):
        return " ".join(self.texts[key].split())

    def named(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def picture():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    return Picture(figure, "figures/f.png", 'A "line" <b>.')


@pytest.fixture(scope="module")
def pages(picture):
    made = {}
    for kind, example in KINDS.items():
        audit = example()
        risky = [(picture, entry) for entry in audit["riskiest"]]
        pictures = {"roc": picture, "detectors": [picture, picture], "riskiest": risky}
        made[kind] = as_html(audit, pictures)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_structure(pages, kind):
    page = Page(pages[kind])
    assert {tag for tag, _ in page.tags} <= OWN
    names = [tag for tag, _ in page.tags]
    assert names.count("h1") == names.count("main") == names.count("nav") == 1
    assert page.named("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag in names if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(set(ids)) == len(ids)
    # The verdict comes before the contents, and these name every other part in order.
    sections = [attributes["id"] for attributes in page.named("section")]
    assert sections[:2] == ["verdict", "glance"]
    links = [attributes["href"] for attributes in page.named("a")]
    assert [link for link in links if not link.startswith("#term")] == [
        f"#{key}" for key in sections[1:]
    ]
    assert {link[1:] for link in links} <= set(ids)
    for attributes in page.named("img"):
        assert attributes["alt"] == 'A "line" <b>.'
        assert attributes["src"].startswith("data:image/png;base64,iVBOR")
    assert len(page.named("img")) == 3 + len(KINDS[kind]()["riskiest"])


@pytest.mark.parametrize("kind", KINDS)
def test_asks_for_nothing(pages, kind):
    page = Page(pages[kind])
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
    style = pages[kind].split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    policies = [attributes for attributes in page.named("meta") if "http-equiv" in attributes]
    assert policies[0]["content"].startswith("default-src 'none'; img-src data:;")


def test_evil_names_stay_text(pages):
    page = Page(pages["evil"])
    for key in ("verdict", "data", "method", "limits", "settings", "riskiest"):
        for text in EVIL if key != "riskiest" else EVIL[:8]:
            assert " ".join(re.sub(r"[\n\u202e]", " ", text).split()) in page[key], (key, text)
    assert "\u202e" not in pages["evil"]


def test_verdict(pages):
    page = Page(pages["labelled"])
    assert page["verdict"].startswith("Evidence that the images were used There is evidence that")
    assert "exit code 3. The lower end" in page["verdict"]
    assert "Failed controls" not in page["verdict"]
    assert "What is lost" not in page["verdict"]
    assert page.named("body") == [{"class": "evidence"}]
    failed = Page(pages["not_trustworthy"])
    assert "Failed controls classifier of real images" in failed["verdict"]
    assert "✕ failed" in failed["controls"]
    assert "these figures must not be relied on" in failed["glance"]
    assert "must not be relied on" not in page["glance"]


def test_without_labels(pages):
    page = Page(pages["reference"])
    assert "Gate" not in page["verdict"]
    # The headline says no more than the words of the code do, or it stands below them.
    assert page["verdict"].startswith("No evidence of use at this power No evidence was found")
    assert RATES_NEED_LABELS in page["scores"]
    assert "TPR" not in page["detectors"]
    assert "kappa" not in page["detectors"]
    assert "blind control 0.50 [0.44, 0.55] .50" in page["detectors"]
    assert "122 patients, each with one score" in page["patients"]
    assert "kappa" not in page["patients"]


def test_headline_is_not_said_twice():
    audit = suspects()
    audit["verdict"]["headline"] = "Inconclusive"
    assert Page(as_html(audit, {}))["verdict"].startswith("Inconclusive Because")
    audit["question"]["data"] = ""
    assert "Membership audit of the demo data" in Page(as_html(audit, {}))["head"]


def test_figures_of_a_labelled_audit(pages):
    page = Page(pages["labelled"])
    assert "p < .001" in page["glance"]
    assert "95% interval 0.85 to 0.96" in page["glance"]
    assert "the used one has the higher score in 91 of 100 cases" in page["glance"]
    assert "Among 34 flagged, about 2 errors are to be expected." in page["glance"]
    assert "0.1% not resolvable" in page["scores"]
    assert "one of 100 images that were not used is 1%" in page["scores"]
    assert "62% to 89% 60% to 89% 10 of 100" in page["scores"]
    assert "Of 9 controls, 8 passed, 0 failed and 1 could not be judged." in page["controls"]
    assert (
        "distance in pixels, calibrated by real images \u22120.01 [\u22120.03, 0.01]"
        in page["detectors"]
    )
    assert "minimum detectable AUC is 0.64" in page["power"]
    assert "61% [48, 72]" in page["share"]
    assert "epsilon is at least 1.42 (delta 0): of 100 that were used 63 are" in page["epsilon"]
    assert "122 patients, each with one score" in page["patients"]
    assert "48 sibling images of 31 patients" in page["patients"]
    assert "packages.numpy 2.4.6" in page["settings"]
    assert "run_dir (empty)" in page["settings"]


def test_null_parts_are_sentences(pages):
    page = Page(pages["suspects"])
    assert "What is lost without labels and reference No test can be made" in page["verdict"]
    for key, part in (
        ("set", "glance"),
        ("images", "glance"),
        ("power", "power"),
        ("share", "share"),
        ("epsilon", "epsilon"),
    ):
        assert wording.MISSING[key] in page[part]
    assert "No AUC and no true positive rate can be given." in page["scores"]
    assert "none of these images has been tested" in page["riskiest"]
    assert wording.UNLABELLED in page["patients"]
    assert "time peak memory" in page["detectors"]
    assert "kappa" not in page["detectors"]
    assert "All files could be read." in page["data"]


def test_nothing_at_all_is_still_a_page():
    audit = suspects()
    audit |= {"controls": [], "detectors": [], "riskiest": [], "primary": "gone"}
    audit["data"] |= {"sizes": [], "digests": []}
    page = Page(as_html(audit, {}))
    for key in ("controls", "detectors", "riskiest"):
        assert wording.MISSING[key] in page[key]
    assert not page.named("img")


def test_pictures_of_the_riskiest_may_be_missing():
    assert len(Page(as_html(labelled(), {"riskiest": []})).named("article")) == 8


def test_many_unreadable_files_are_counted():
    audit = labelled()
    audit["data"]["unreadable"] = [[f"f{number}", "torn"] for number in range(UNREADABLE_SHOWN + 7)]
    text = Page(as_html(audit, {}))["data"]
    assert "and 7 more files" in text
    assert f"f{UNREADABLE_SHOWN}" not in text


def test_tile_without_effect():
    audit = reference()
    audit["set"] |= {"permutation_p": 0.31, "welch_t": -0.2, "welch_p": 0.84}
    whole, single, patients = tiles(audit)
    assert whole.sentence.endswith("differ no more than chance explains.")
    assert ("Welch's t-test", "t = \u22120.20, p = .84") in whole.lines
    assert "too small for any single image to be flagged" in single.sentence
    assert single.sentence.startswith("Of two images, one a suspect and one of the reference, the")
    assert patients.figure == "0.54"


def test_image_has_the_size_of_its_figure(picture):
    source, width, height = image(picture.figure)
    assert (width, height) == (192, 96)  # 2 x 1 inches
    assert source.startswith("data:image/png;base64,")


def test_terms_are_linked_once():
    link = Linker()
    assert link("The AUC & <b>") == ('The <a class="term" href="#term-auc">AUC</a> &amp; &lt;b&gt;')
    assert link("AUC, AUCs, auc") == "AUC, AUCs, auc"
    # The longest term wins; parts of words are none.
    assert '#term-minimum-detectable-auc">minimum detectable AUC<' in link("minimum detectable AUC")
    assert link("remember the powerful") == "remember the powerful"
    assert link("0.91 [0.86, 0.96]") == '<span class="nowrap">0.91 [0.86, 0.96]</span>'


def test_glossary_is_complete(pages):
    page = Page(pages["labelled"])
    assert len({anchor(term) for term in GLOSSARY}) == len(GLOSSARY)
    for term in (
        "membership inference",
        "victim",
        "candidate",
        "member",
        "suspect",
        "reference",
        "AUC",
        "TPR at FPR",
        "kappa",
        "confidence interval",
        "permutation p",
        "false discovery rate",
        "power",
        "minimum detectable AUC",
        "control",
        "planted copy",
        "blind baseline",
        "stand-in generator",
        "shadow generator",
        "stack",
        "epsilon",
        "patient-disjoint folds",
        "sibling",
    ):
        assert GLOSSARY[term].endswith(".")
        assert f"{term}{GLOSSARY[term]}" in page["glossary"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (14, "14 s"), (59.6, "1 min 0 s"), (412, "6 min 52 s"), (7500, "2 h 5 min")],
)
def test_duration(seconds, text):
    assert wording.duration(seconds) == text


def test_words():
    assert wording.moment("2026-11-24T21:00:00+01:00") == "2026-11-24 20:00 UTC"
    assert wording.moment("yesterday") == "yesterday"
    assert [wording.p_phrase(p) for p in (0.0001, 0.034, None)] == [
        "p < .001",
        "p = .034",
        "p not known",
    ]
    assert [wording.per_cent(share) for share in (0.1, 0.001, 0.975)] == ["10%", "0.1%", "97.5%"]
    assert wording.interval(None) == "\u2013"
    assert "reference images of 62 patients" in wording.question(reference())
    assert wording.question(evil()).startswith("Do 5,000 generated images give away")
