"""The device that tests run on, and fixtures that several test files use."""

import emulation
import pytest
import samples

import rtensor as torch


def pytest_addoption(parser):
    parser.addoption("--device", choices=("cpu", "cuda"), default="cpu", help="where the generic tests' tensors lie")
    parser.addoption("--backwards", action="store_true", help="let the emulation run the last threads first")
    parser.addoption("--nvrtc", action="store_true", help="compile the emulated kernels with NVIDIA's compiler, too")


def has_gpu() -> bool:
    """Whether CuPy is there and finds a GPU."""
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() > 0
    except Exception:
        return False


def pytest_configure(config):
    """Without a GPU the tests of `--device cuda` run on the emulation."""
    config.addinivalue_line("markers", "any_device: tensors are made on the device of the option --device")
    samples.DEVICE = config.getoption("--device")
    if samples.DEVICE == "cuda" and not has_gpu():
        if emulation.native.compiler() is None:
            pytest.exit("--device cuda: without a GPU the tests need a C++ compiler for the emulation", 1)
        emulation.install()
        if config.getoption("--backwards"):
            emulation.run_backwards()
        if config.getoption("--nvrtc"):
            use_nvrtc()
        torch.cuda._load()


def use_nvrtc():
    """Let the emulation check every text with NVIDIA's compiler."""
    from emulation import nvrtc

    if nvrtc.library() is None:
        pytest.exit("--nvrtc: the wheel nvidia-cuda-nvrtc-cu12 is not installed", 1)
    nvrtc.architectures = nvrtc.ARCHITECTURES


def pytest_report_header(config):
    device = config.getoption("--device")
    if device == "cpu":
        return "device: cpu"
    return f"device: cuda, {'emulated' if emulation.installed() else torch.cuda.get_device_name(0)}"


@pytest.fixture(autouse=True)
def no_writes_behind_blocks():
    """Kernels write into their blocks alone, as far as the emulation sees it."""
    yield
    assert not emulation.violations(), "kernels wrote behind blocks"


@pytest.fixture(autouse=True)
def tensors_on_the_device(request):
    """Tests that are marked `any_device` make their tensors there."""
    if samples.DEVICE == "cpu" or request.node.get_closest_marker("any_device") is None:
        yield
        return
    torch.set_default_device(samples.DEVICE)
    yield
    torch.set_default_device("cpu")


@pytest.fixture
def default_dtype():
    """The default dtype may be changed; it is restored."""
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)
