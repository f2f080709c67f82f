import os

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

from kerasfast.serving.config import write_serving_config


@pytest.fixture
def served(tmp_path):
    for name in ("slowfast/1", "slowfast/12", 'x3d "s"/3', "draft/best", ".slowfast.tmp/model"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "saved_model.pb").write_bytes(b"")
    (tmp_path / "empty" / "1").mkdir(parents=True)
    return tmp_path


def batching_parameters():
    """The message of tensorflow_serving/servables/tensorflow/session_bundle_config.proto, which no package holds."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", package="tensorflow.serving", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name="BatchingParameters")
    numbers = {"max_batch_size": 1, "batch_timeout_micros": 2, "max_enqueued_batches": 3, "num_batch_threads": 4}
    field = descriptor_pb2.FieldDescriptorProto
    for name, number in numbers.items():
        wrapped = {"type": field.TYPE_MESSAGE, "type_name": ".google.protobuf.Int64Value"}
        message.field.add(name=name, number=number, label=field.LABEL_OPTIONAL, **wrapped)
    message.field.add(name="allowed_batch_sizes", number=6, label=field.LABEL_REPEATED, type=field.TYPE_INT64)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.BatchingParameters"))


def test_every_exported_model_is_served(served):
    configs = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    models, _ = write_serving_config(served, mounted_at="/srv/")
    found = text_format.Parse(models.read_text("utf-8"), configs.ModelServerConfig()).model_config_list.config
    assert [(one.name, one.base_path, one.model_platform) for one in found] == [
        ("slowfast", "/srv/slowfast", "tensorflow"),
        ('x3d "s"', '/srv/x3d "s"', "tensorflow"),
    ]
    assert [one.model_version_policy.latest.num_versions for one in found] == [1, 1]


def test_models_are_named_in_text(served):
    """As above, where tensorflow-serving-api is not installed."""
    text = write_serving_config(served)[0].read_text("utf-8")
    assert text.count("config {") == 2 and text.count("{") == text.count("}")
    assert 'base_path: "/models/slowfast"' in text and "draft" not in text and "empty" not in text


def test_batching_is_what_the_server_reads(served):
    _, path = write_serving_config(served)
    found = text_format.Parse(path.read_text("utf-8"), batching_parameters()())
    assert (found.max_batch_size.value, found.batch_timeout_micros.value) == (4, 5000)
    assert (found.max_enqueued_batches.value, found.num_batch_threads.value) == (16, os.cpu_count())
    assert list(found.allowed_batch_sizes) == []
    _, path = write_serving_config(
        served, max_batch_size=8, batch_timeout_ms=0, batch_threads=1, allowed_batch_sizes=(1, 2, 4, 8)
    )
    found = text_format.Parse(path.read_text("utf-8"), batching_parameters()())
    assert (found.max_batch_size.value, found.batch_timeout_micros.value, found.max_enqueued_batches.value) == (8, 0, 8)
    assert list(found.allowed_batch_sizes) == [1, 2, 4, 8] and found.num_batch_threads.value == 1


def test_a_file_of_another_hand_is_left_as_it_is(served):
    (served / "batching.config").write_text("max_batch_size { value: 99 }\n")
    with pytest.raises(ValueError, match=r"batching\.config is not replaced"):
        write_serving_config(served)
    assert not (served / "models.config").exists()
    assert (served / "batching.config").read_text() == "max_batch_size { value: 99 }\n"


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"max_batch_size": 0}, "at least 1"),
        ({"batch_threads": 0}, "at least 1"),
        ({"batch_timeout_ms": -1}, "at least 0"),
        ({"allowed_batch_sizes": (1, 2)}, "must rise from at least 1 to max_batch_size=4"),
        ({"allowed_batch_sizes": (2, 1, 4)}, "must rise"),
        ({"allowed_batch_sizes": (0, 4)}, "must rise"),
    ],
)
def test_values_that_the_server_refuses(served, values, rule):
    with pytest.raises(ValueError, match=rule):
        write_serving_config(served, **values)


def test_a_folder_without_models(tmp_path):
    with pytest.raises(ValueError, match="must hold models as <name>/<version>/saved_model"):
        write_serving_config(tmp_path)
