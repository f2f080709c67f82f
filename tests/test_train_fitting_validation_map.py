"""Mean average precision of the validation in the logs of an epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasfast.train.fitting.validation_map import ValidationMap
from kerasfast.train.metrics import mean_average_precision

random = np.random.default_rng(0)
X = random.normal(size=(7, 5)).astype(np.float32)
Y = random.integers(0, 2, (7, 3)).astype(np.float32)


def network(**options):
    inputs = keras.Input((5,))
    heads = {name: keras.layers.Dense(3, "sigmoid", name=name, **options)(inputs) for name in ("a", "b")}
    model = keras.Model(inputs, heads)
    model.compile(keras.optimizers.SGD(0.0), dict.fromkeys(heads, "binary_crossentropy"), jit_compile=False)
    return model


def fit(model, labels=Y, batch=3):
    clips = tf.data.Dataset.from_tensor_slices((X, {"a": labels, "b": labels[::-1].copy()})).batch(batch)
    history = model.fit(
        clips, validation_data=clips, epochs=2, verbose=0, shuffle=False, callbacks=[ValidationMap(clips, "ab")]
    ).history
    assert len(history["val_loss"]) == 2
    return {key: values for key, values in history.items() if key.endswith("_map")}


def test_it_is_the_exact_map_of_all_clips():
    model = network()
    logged = fit(model)
    given = model.predict(X, verbose=0)
    maps = [mean_average_precision(Y, given["a"]).map, mean_average_precision(Y[::-1], given["b"]).map]
    wanted = {"val_a_clip_map": maps[0], "val_b_clip_map": maps[1], "val_clip_map": float(np.mean(maps))}
    assert logged == {key: pytest.approx([value] * 2, rel=1e-6) for key, value in wanted.items()}


def test_constant_scores_give_nan_and_end_nothing():
    logged = fit(network(kernel_initializer="zeros"))
    assert set(logged) == {"val_a_clip_map", "val_b_clip_map", "val_clip_map"}
    assert np.isnan(list(logged.values())).all()


def test_a_validation_without_a_label_is_named():
    with pytest.raises(ValueError, match=r"Head 'a' of the validation: .* at least one positive row"):
        fit(network(), np.zeros_like(Y))


def test_it_scores_the_averaged_weights_that_were_validated():
    model = network()
    model.compile(
        keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.0),
        dict.fromkeys("ab", "binary_crossentropy"),
        jit_compile=False,
    )
    clips = tf.data.Dataset.from_tensor_slices((X, {"a": Y, "b": Y})).batch(7)
    scored = []

    class Scored(ValidationMap):
        def on_test_end(self, logs=None):
            super().on_test_end(logs)
            loss = keras.losses.binary_crossentropy(Y, self.model.predict_on_batch(X)["a"])
            scored.append((float(np.mean(loss)), logs["a_loss"]))

    callbacks = [Scored(clips, "ab"), keras.callbacks.SwapEMAWeights()]
    model.fit(clips, validation_data=clips, epochs=2, verbose=0, shuffle=False, callbacks=callbacks)
    for ours, theirs in scored:
        assert ours == pytest.approx(theirs, rel=1e-5)
