import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from serving_case import small_variant, spread_model
from tensorflow.core.framework import tensor_pb2

from kerasfast.serving.signatures import SIGNATURES, request_shape, signatures
from kerasfast.serving.warmup import WARMUP_FILE, write_warmup


def prediction_log():
    """`tensorflow.serving.PredictionLog` as far as a request goes, with a TensorProto as bytes, which is the same."""
    field, pool = descriptor_pb2.FieldDescriptorProto, descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="log.proto", package="log", syntax="proto3")
    messages = {
        "PredictionLog": [("predict_log", 6, "PredictLog")],
        "PredictLog": [("request", 1, "PredictRequest")],
        "PredictRequest": [("model_spec", 1, "ModelSpec"), ("inputs", 2, "Input")],
        "ModelSpec": [("signature_name", 3, None)],
        "Input": [("key", 1, None), ("value", 2, bytes)],
    }
    for message, fields in messages.items():
        added = file.message_type.add(name=message)
        for name, number, kind in fields:
            label = field.LABEL_REPEATED if name == "inputs" else field.LABEL_OPTIONAL
            if isinstance(kind, str):
                types = {"type": field.TYPE_MESSAGE, "type_name": f".log.{kind}"}
            else:
                types = {"type": field.TYPE_BYTES if kind else field.TYPE_STRING}
            added.field.add(name=name, number=number, label=label, **types)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("log.PredictionLog"))


@pytest.fixture(scope="module")
def model():
    return spread_model(small_variant())


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return write_warmup(tmp_path_factory.mktemp("assets"), model.variant, SIGNATURES)


def logs(file):
    return [record.numpy() for record in tf.data.TFRecordDataset(str(file))]


def test_every_signature_answers_its_request(model, file):
    functions = signatures(model, model.variant, {"verb": "max", "action": "mean"}, SIGNATURES[:3])
    answered = []
    for record in logs(file):
        request = prediction_log().FromString(record).predict_log.request
        (entry,) = request.inputs
        proto = tensor_pb2.TensorProto.FromString(entry.value)
        frames = tf.io.parse_tensor(entry.value, tf.dtypes.as_dtype(proto.dtype))
        np.testing.assert_array_equal(frames, tf.make_ndarray(proto))
        name = request.model_spec.signature_name
        assert entry.key == "frames"
        assert tuple(frames.shape) == request_shape(name, model.variant).sizes(batch=1, views=1, H=64, W=64)
        if name in functions:
            scores = functions[name](frames=frames)
            gray = model(np.full((1, model.clip.frames, 64, 64, 3), 128, np.uint8))
            np.testing.assert_allclose(scores["verb"], gray["verb"], atol=1e-5)
        answered.append(name)
    assert tuple(answered) == SIGNATURES


def test_the_classes_of_tensorflow_serving_read_the_same(file):
    protos = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    found = [protos.PredictionLog.FromString(record) for record in logs(file)]
    assert [one.WhichOneof("log_type") for one in found] == ["predict_log"] * 4
    for record, one in zip(logs(file), found, strict=True):
        request = one.predict_log.request
        assert list(request.inputs) == ["frames"]
        own = prediction_log().FromString(record).predict_log.request
        assert request.model_spec.signature_name == own.model_spec.signature_name
        assert request.inputs["frames"] == tensor_pb2.TensorProto.FromString(own.inputs[0].value)
        assert not request.model_spec.name and not request.model_spec.HasField("version")
    # Written by the real classes it has the same bytes: nothing is left out or added.
    assert [one.SerializeToString() for one in found] == logs(file)


def test_a_request_is_small_whatever_the_size_of_a_clip(tmp_path):
    path = write_warmup(tmp_path, small_variant(test_crop_size=256), SIGNATURES)
    assert path.name == WARMUP_FILE == "tf_serving_warmup_requests"
    assert path.stat().st_size < 5000
