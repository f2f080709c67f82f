"""Focal and asymmetric loss against their formulas."""

from math import log

import keras
import numpy as np
import pytest
import tensorflow as tf
from loss_case import SCORES, TARGETS, assert_formula, loss_of


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2), (0.6, 1), (0.5, 0)])
def test_focal(alpha, gamma):
    """Lin et al. 2017; and Keras' own."""

    def formula(p, y, c, row):
        p_t, alpha_t = (p, alpha) if y == 1 else (1 - p, 1 - alpha)
        return -alpha_t * (1 - p_t) ** gamma * log(p_t)

    loss = loss_of("focal", alpha=alpha, gamma=gamma)
    assert_formula(loss, formula)
    other = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=alpha, gamma=gamma)
    assert float(loss(TARGETS, SCORES)) == pytest.approx(float(other(TARGETS, SCORES)), rel=1e-5)


@pytest.mark.parametrize(("gamma_pos", "gamma_neg", "margin"), [(0, 4, 0.05), (1, 4, 0.05), (2, 3, 0.2)])
def test_asymmetric(gamma_pos, gamma_neg, margin):
    """Ben-Baruch, Ridnik et al. 2021."""

    def formula(p, y, c, row):
        if y == 1:
            return -((1 - p) ** gamma_pos) * log(p)
        p_m = max(p - margin, 0)
        return -(p_m**gamma_neg) * log(1 - p_m)

    assert_formula(loss_of("asymmetric", gamma_pos=gamma_pos, gamma_neg=gamma_neg, margin=margin), formula)


def test_defaults_are_the_papers():
    config = loss_of("asymmetric").get_config()
    assert (config["gamma_pos"], config["gamma_neg"], config["margin"]) == (0, 4, 0.05)
    config = loss_of("focal").get_config()
    assert (config["alpha"], config["gamma"]) == (0.25, 2)


def test_without_focusing_and_margin_it_is_the_binary_crossentropy():
    plain = loss_of("asymmetric", gamma_pos=0, gamma_neg=0, margin=0)
    assert float(plain(TARGETS, SCORES)) == pytest.approx(float(loss_of("bce")(TARGETS, SCORES)), rel=1e-6)


def test_negatives_below_the_margin_are_ignored():
    probabilities = tf.constant([[0.01, 0.049, 0.3, 0.9, 0.05]])
    with tf.GradientTape() as tape:
        tape.watch(probabilities)
        value = loss_of("asymmetric")(np.zeros((1, 5)), probabilities)
    gradient = tape.gradient(value, probabilities).numpy()[0]
    assert not gradient[[0, 1]].any()
    assert (gradient[[2, 3]] > 0).all()
