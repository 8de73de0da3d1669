"""The loss of --supervision=attribution: numbers by hand."""

import numpy as np
import pytest
import tensorflow as tf

from ganfp_tf.siamese.training import attribution


def loss(labels, logits):
    """Of one block: labels (R,), one a real image, and logits (R, G)."""
    logits = np.asarray(logits, "float32")
    labels = np.broadcast_to(np.asarray(labels, "float32")[:, None], logits.shape)
    return float(attribution(tf.constant(labels[None]), tf.constant(logits[None]))[0])


def test_the_used_ones_share_a_generated_image():
    # log(e + e^2 + e^3) - log(e + e^3) = 3.40761 - 3.12693
    assert loss([1, 0, 1], [[1.0], [2.0], [3.0]]) == pytest.approx(0.28068, abs=1e-5)
    # Which of the used ones it is makes no difference.
    assert loss([1, 1, 0], [[1.0], [3.0], [2.0]]) == pytest.approx(0.28068, abs=1e-5)
    # Without a lead: one of four.
    assert loss([0, 1, 0, 0], np.zeros((4, 1))) == pytest.approx(np.log(4), abs=1e-6)


def test_each_generated_image_is_an_example():
    # log(1 + e) - 1 and log(1 + e^2): the used one leads by 1, and is behind by 2.
    expected = (np.log1p(np.e) - 1.0 + np.log1p(np.exp(2.0))) / 2.0
    assert loss([1, 0], [[1.0, 0.0], [0.0, 2.0]]) == pytest.approx(expected, abs=1e-6)


def test_what_all_logits_of_a_generated_image_share_does_not_count():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    moved = logits + np.array([7.0, -3.0, 50.0])
    labels = [1, 0, 0, 1, 0]
    assert loss(labels, moved) == pytest.approx(loss(labels, logits), abs=1e-5)


@pytest.mark.parametrize("labels", [[1, 1], [0, 0]])
def test_a_block_of_one_label_teaches_nothing(labels):
    logits = tf.Variable(np.float32([[[1.0, 2.0], [-3.0, 80.0]]]))
    with tf.GradientTape() as tape:
        found = attribution(
            tf.constant(labels, shape=(1, 2, 1)) * tf.ones((1, 2, 2), "int32"), logits
        )
    assert found.numpy().tolist() == [0.0]
    assert (tape.gradient(found, logits).numpy() == 0.0).all()


def test_a_value_a_block():
    logits = np.zeros((3, 4, 2), "float32")
    labels = np.zeros((3, 4, 2), "int32")
    labels[0, 0], labels[1, :2], labels[2, :] = 1, 1, 1
    found = attribution(tf.constant(labels), tf.constant(logits)).numpy()
    assert found == pytest.approx([np.log(4), np.log(2), 0.0], abs=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_large_lead_neither_overflows_nor_loses_its_slope(dtype):
    logits = tf.Variable(tf.cast([[[-200.0], [200.0]]], dtype))
    with tf.GradientTape() as tape:
        found = attribution(tf.constant([[[1], [0]]]), logits)
    assert float(found[0]) == pytest.approx(400.0)
    assert tape.gradient(found, logits).numpy().ravel().tolist() == [-1.0, 1.0]
