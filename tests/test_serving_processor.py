"""Processors as Linux describes them, and this one."""

import platform

from fresh_python import run_python

from kerasfast.serving.processor import (
    available_cores,
    bfloat16_arithmetic,
    bfloat16_has_kernels,
    on_gpu,
    processor_flags,
)


def test_flags_of_processors(tmp_path):
    intel, arm = tmp_path / "intel", tmp_path / "arm"
    intel.write_text("model name : x\nflags\t\t: fpu avx2 avx512_bf16 amx_bf16\nbugs : y\n")
    arm.write_text("Features\t: fp asimd i8mm\n")
    assert processor_flags(intel) == {"fpu", "avx2", "avx512_bf16", "amx_bf16"}
    assert bfloat16_arithmetic(processor_flags(intel)) is True
    assert bfloat16_arithmetic(processor_flags(arm)) is False
    assert bfloat16_arithmetic(processor_flags(tmp_path / "none")) is None
    # AVX-512 without bfloat16 has kernels all the same.
    assert bfloat16_arithmetic(frozenset({"avx2", "avx512f"})) is False
    assert bfloat16_has_kernels(frozenset({"avx2", "avx512f"})) is True
    assert bfloat16_has_kernels(frozenset({"avx2", "fma"})) is False
    assert bfloat16_has_kernels(frozenset()) is None


def test_onednn_follows_its_variable():
    """In fresh processes, since TensorFlow asks once, when it is imported."""
    script = "from kerasfast.serving.processor import onednn_is_on; print(onednn_is_on())"
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    assert run_python(script, TF_ENABLE_ONEDNN_OPTS="0").strip() == str(False if x86 else None)


def test_this_machine():
    assert available_cores() >= 1
    assert on_gpu() in (True, False)
