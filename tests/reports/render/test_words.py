import pytest

from ganfp_tf.reports.render.words import counted, listed, span


def test_nouns_follow_their_number():
    assert [counted(n, "victim") for n in (0, 1, 2)] == ["0 victims", "1 victim", "2 victims"]


def test_each_number_once_in_order():
    assert listed([1000, 50, 50]) == "50, 1,000"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([50, 50], "50"), ([1000, 50], "50 to 1,000"), ([0, 0], "an unknown number of")],
)
def test_from_the_lowest_to_the_highest(numbers, text):
    assert span(numbers) == text
