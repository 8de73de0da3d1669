"""The audit card: what it says, and that what a user wrote stays text."""

import re
import shlex

import pytest

from ganfp_tf.audit.verdict import HEADLINES
from ganfp_tf.config import Config
from ganfp_tf.reports.audit.card import audit_card, command, escaped
from ganfp_tf.reports.audit.wording import SYMBOLS
from tests.helpers.audit_example import EVIL, KINDS, evil, labelled, not_trustworthy, suspects


def test_labelled_card():
    text = audit_card(labelled())
    head = text.splitlines()
    assert head[0] == "# Audit card: clinic/lung_ct"
    assert head[2].startswith("**▲ Evidence that the images were used.** There is evidence")
    assert r"| AUC of images (chance 0.50) | 0.91 \[0.85, 0.96\] | &lt;.001 |" in text
    assert "| TPR at 0.1% FPR | not resolvable |  |" in text
    assert "| epsilon, at least | 1.42 |  |" in text
    assert (
        "| generated images of an unrelated generator | negative | \u2013 not judged | \u2013 |"
        in text
    )
    assert "| real, used | 100 | 60 | " + "9f2c" * 16 + " |" in text
    assert "exit code 3" in text
    assert (
        "```\npython main.py --mode=audit --data=clinic/lung_ct --image_size=64 --folds=5 "
        "--fail_above_auc=0.6\n```"
    ) in text
    assert "ganfp 0.1.0, 2026-11-24 20:00 UTC, 12 min 14 s" in text
    assert len(text.splitlines()) < 100  # a page


def test_suspects_card_says_what_is_lost():
    text = audit_card(suspects())
    assert "## What is lost without labels\n\n- No test can be made" in text
    assert "None: without a reference nothing can be measured" in text
    assert "## Gate" not in text


def test_failed_control_is_named():
    text = audit_card(not_trustworthy())
    assert "**✕ Not trustworthy: a control failed.**" in text
    assert "**Failed controls:** classifier of real images, without the generated ones." in text


def test_verdicts_differ_without_colour():
    assert len(set(HEADLINES.values())) == len(set(SYMBOLS.values())) == 4


def test_command_names_what_differs():
    settings = Config().to_dict() | {"mode": "audit", "folds": 7, "overwrite": True, "data": "a b"}
    parts = shlex.split(command(settings))
    assert sorted(parts[2:]) == ["--data=a b", "--folds=7", "--mode=audit", "--overwrite=true"]
    assert "\n" not in command({"data": "a\n```\n# b"})


@pytest.mark.parametrize("text", EVIL)
def test_escaped_is_text_to_a_renderer(text):
    markdown_it = pytest.importorskip("markdown_it")  # comes with keras (rich)
    render = markdown_it.MarkdownIt("commonmark").enable("table")
    # As a paragraph, as a list item and within a line.
    for before in ("", "- ", "**bold** "):
        tokens = render.parse(before + escaped(text))
        kinds = {child.type for token in tokens for child in token.children or ()}
        kinds |= {token.type for token in tokens}
        assert not kinds & {
            "link_open",
            "image",
            "html_inline",
            "html_block",
            "code_inline",
            "heading_open",
            "ordered_list_open",
            "blockquote_open",
            "hr",
        }
        assert ("bullet_list_open" in kinds) == (before == "- ")
        shown = "".join(child.content for token in tokens for child in token.children or ())
        blank = re.sub(r"[\n\u202e]", " ", text).strip()
        assert shown.removeprefix("bold").strip() == blank


def test_addresses_are_not_linked():
    # GitHub's extended autolinks: www. and ://, wherever they stand; @ for mentions and mail.
    for text in ("http://evil.example", "x HTTPS://a.b", "www.evil.example", "WWW.e.e", "a@b.c"):
        assert not re.search(r"(?i)://|www\.|@", escaped(text))
    assert escaped("0.91 of 1.5") == "0.91 of 1.5"


@pytest.mark.parametrize("kind", KINDS)
def test_whole_card_has_the_structure_of_its_own(kind):
    markdown_it = pytest.importorskip("markdown_it")
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(audit_card(KINDS[kind]()))
    kinds = [token.type for token in tokens]
    children = {child.type for token in tokens for child in token.children or ()}
    assert children <= {"text", "strong_open", "strong_close", "text_special"}
    assert kinds.count("fence") == 1
    assert "html_block" not in kinds
    titles = [
        tokens[place + 1].content for place, kind in enumerate(kinds) if kind == "heading_open"
    ]
    assert set(titles[1:]) <= {
        "Because",
        "What is not shown",
        "What is lost without labels",
        "Gate",
        "Figures",
        "Controls",
        "Limits",
        "Data",
        "How it was made",
    }


def test_tables_keep_their_columns():
    lines = [line for line in audit_card(evil()).splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} <= {3, 4, 5}
