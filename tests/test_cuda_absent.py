"""Without CuPy or a GPU everything else works, and torch.cuda says what is missing."""

import subprocess
import sys

import pytest

WITHOUT_CUPY = "import sys; sys.modules['cupy'] = None; import rtensor as torch"
WITHOUT_DRIVER = """
import sys, types
def fail(): raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
cupy = types.ModuleType("cupy")
cupy.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=fail))
sys.modules["cupy"] = cupy
import rtensor as torch
"""


def run(*lines):
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_cupy_is_imported_by_nobody_who_needs_no_gpu():
    lines = (
        "import sys, rtensor as torch",
        "torch.cuda",
        "torch.cuda.amp",
        "torch.ones(2).is_pinned()",
        "torch.cuda.memory_allocated(), torch.cuda.empty_cache(), torch.cuda.is_current_stream_capturing()",
        "print('cupy' in sys.modules)",
    )
    assert run(*lines) == "False\n"


@pytest.mark.parametrize("absent", [WITHOUT_CUPY, WITHOUT_DRIVER], ids=["cupy", "driver"])
def test_answers_of_a_build_without_gpus(absent):
    lines = (
        "cuda = torch.cuda",
        "assert not cuda.is_available() and cuda.device_count() == 0 and not cuda.is_initialized()",
        "assert not cuda.is_bf16_supported() and cuda.memory_stats() == {} and cuda.max_memory_allocated() == 0",
        "cuda.manual_seed(1), cuda.manual_seed_all(1), cuda.seed(), torch.manual_seed(1), cuda.reset_peak_memory_stats",
        "print(torch.ones(2) + 1)",
    )
    assert run(absent, *lines) == "tensor([2., 2.])\n"


@pytest.mark.parametrize("absent", [WITHOUT_CUPY, WITHOUT_DRIVER], ids=["cupy", "driver"])
@pytest.mark.parametrize(
    "use",
    [
        "torch.ones(2, device='cuda')",
        "torch.ones(2).cuda()",
        "torch.cuda.current_device()",
        "torch.cuda.Stream()",
        "torch.cuda.Event().record()",
        "torch.cuda.synchronize()",
        "torch.cuda.get_device_name()",
        "torch.cuda.CUDAGraph()",
        "torch.cuda.set_device(0)",
    ],
)
def test_uses_of_a_gpu_tell_what_is_missing(absent, use):
    message = run(absent, "try:", f"    {use}", "except RuntimeError as error:", "    print(error)")
    assert message.startswith("Found no NVIDIA driver on your system.")
