"""Files of the real `torch.save`, and the names and layouts of the real PyTorchVideo."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="parity needs torch: make parity")
pytest.importorskip("pytorchvideo", reason="parity needs pytorchvideo: make parity")

import torch
from checkpoint_names import network

from kerasfast.checkpoints import read, to_canonical
from kerasfast.models.variants import variant
from parity import reference
from parity.torch_names import torch_name

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*TypedStorage is deprecated:UserWarning"),
]


@pytest.fixture(params=["zip", "legacy"])
def save(request, tmp_path):
    def save(obj, **options):
        path = tmp_path / "saved.pyth"
        torch.save(obj, path, _use_new_zipfile_serialization=request.param == "zip", **options)
        return path

    return save


def as_numpy(tensor):
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).detach().numpy()


def tensors():
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    kinds = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
    return {
        **{f"kind.{kind}": torch.arange(6).reshape(2, 3).to(getattr(torch, kind)) for kind in kinds},
        "base": base,
        "transposed": base.permute(2, 0, 1),
        "slice": base[1:, 1:, ::2],
        "channels_last": torch.randn(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d),
        "scalar": torch.tensor(2.5),
        "scalar_of_base": base[1, 2, 3],
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(3)),
    }


def test_tensors(save):
    expected = tensors()
    found = read(save(expected))
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        array = as_numpy(tensor)
        assert found[name].dtype == array.dtype and found.shapes[name] == found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def test_training_files(save):
    model = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 1), torch.nn.BatchNorm3d(4))
    for optimizer in (
        torch.optim.SGD(model.parameters(), 0.1, momentum=0.9),
        torch.optim.AdamW(model.parameters(), 0.1),
    ):
        model(torch.randn(2, 3, 1, 4, 4)).sum().backward()
        optimizer.step()
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        found = read(
            save(
                {
                    "epoch": 3,
                    "model_state": model.state_dict(),
                    "optimizer_state": optimizer.state_dict(),
                    "scheduler": schedule.state_dict(),
                    "cfg": "TRAIN:\n  ENABLE: true\n" * 200,
                    "scaler_state": torch.amp.GradScaler("cpu").state_dict(),
                }
            )
        )
        assert list(found) == list(model.state_dict())
        np.testing.assert_array_equal(found["0.weight"], as_numpy(model[0].weight))
        assert found["1.num_batches_tracked"].shape == ()


def test_files_without_checksums(tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.arange(5.0)}, tmp_path / "saved")
    finally:
        torch.serialization.set_crc32_options(before)
    assert read(tmp_path / "saved")["a"].tolist() == [0, 1, 2, 3, 4]


def test_torchscript_is_refused(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "saved")
    with pytest.raises(ValueError, match="TorchScript"):
        read(tmp_path / "saved")


# --- PyTorchVideo ----------------------------------------------------------------------------------------------------


def resnet(**options):
    reference.import_pytorchvideo()
    from pytorchvideo.models.resnet import create_resnet

    return create_resnet(stem_conv_kernel_size=(1, 7, 7), head_pool_kernel_size=(8, 7, 7), **options)


def slowfast():
    return reference.import_pytorchvideo().create_slowfast(model_depth=50)


def x3d():
    reference.import_pytorchvideo()
    from pytorchvideo.models.x3d import create_x3d

    return create_x3d(input_clip_length=4, input_crop_size=160)


def pooled():
    return resnet(stage1_pool=torch.nn.MaxPool3d)


MODELS = {  # builder, entries with counters, whether network() gives its names
    "slowfast": (slowfast, 662, True),
    "slow": (resnet, 320, False),
    "c2d": (pooled, 320, False),
    "x3d": (x3d, 563, False),
}


@pytest.mark.parametrize("name", MODELS)
def test_names_and_layouts(name, tmp_path):
    builder, entries, same = MODELS[name]
    state = builder().state_dict()
    assert len(state) == entries
    torch.save({"model_state": state}, tmp_path / "saved.pyth")
    weights = to_canonical(read(tmp_path / "saved.pyth"))
    assert weights.family == "pytorchvideo"
    assert len(weights) == sum(not key.endswith("num_batches_tracked") for key in state)
    if same:
        assert set(weights) == set(network())
        assert {torch_name(canonical, variant("slowfast_r50_8x8")) for canonical in weights} <= set(state)
    elif name != "x3d":
        assert set(weights) == set(network(fast=0))
    for canonical, key in weights._keys.items():
        array = state[key].numpy()
        if canonical == "head/lin5/kernel":
            array = array[..., 0, 0, 0]
        axes = {5: (2, 3, 4, 1, 0), 2: (1, 0), 1: (0,)}[array.ndim]
        np.testing.assert_array_equal(weights[canonical], array.transpose(axes), err_msg=canonical)
