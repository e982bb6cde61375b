"""The GPU's runtimes with the CPU in its place: memory on the GPU is the host's, and engines run in ONNX Runtime."""

from __future__ import annotations

import ctypes
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from model.manifest import BATCH, GRAPH, Manifest, list_files, read_bundle
from model.onnxruntime import ort
from model.raw_prediction import RawPrediction
from service.runtimes import cuda, cuda_memory, tensorrt
from service.runtimes.choice import choose_backend, open_backend
from service.runtimes.cuda import CudaBackend, open_cuda
from service.runtimes.onnxruntime import OnnxRuntimeBackend, has_provider
from service.runtimes.tensorrt import TensorRtBackend, open_tensorrt
from service.runtimes.types import Backend, BackendError
from service.settings import Settings
from tests.bundles import figure_bundle
from tests.service.runtimes.test_runtimes import SIZES, check_equal, figure_canvas

CPU = "CPUExecutionProvider"


class HostCudart:
    """CUDA's runtime library with the host's memory, and a stream that does things at once."""

    def __init__(self) -> None:
        self.failing = ""
        self.buffers: list[object] = []
        self.launches = 0

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *arguments: 2 if name == self.failing else getattr(self, f"_{name}")(*arguments) or 0

    def _cudaStreamCreate(self, stream: object) -> None:
        stream._obj.value = 7

    def _cudaMalloc(self, pointer: object, size: ctypes.c_size_t, *_: object) -> None:
        self.buffers.append(ctypes.create_string_buffer(size.value))
        pointer._obj.value = ctypes.addressof(self.buffers[-1])

    _cudaHostAlloc = _cudaMalloc

    def _cudaMemcpyAsync(self, to: object, source: object, size: object, *_: object) -> None:
        ctypes.memmove(to, source, size.value)

    def _cudaStreamSynchronize(self, *_: object) -> None:
        pass

    _cudaStreamBeginCapture = _cudaStreamEndCapture = _cudaGraphInstantiate = _cudaStreamSynchronize

    def _cudaGraphLaunch(self, *_: object) -> None:
        self.launches += 1
        self.work()


@pytest.fixture
def cudart(monkeypatch: pytest.MonkeyPatch) -> HostCudart:
    library = HostCudart()
    monkeypatch.setattr(cuda_memory.ctypes, "CDLL", lambda _: library)
    return library


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch, cudart: HostCudart) -> None:
    monkeypatch.setattr(cuda, "DEVICE", "cpu")
    monkeypatch.setattr(cuda, "has_provider", lambda _: True)
    monkeypatch.setattr(cuda, "cuda_provider", lambda **_: CPU)


def canvases(count: int) -> np.ndarray:
    batch = np.stack([figure_canvas(SIZES[0])] * count)
    for number, canvas in enumerate(batch):
        canvas[30 + number :] = 0  # each another
    return batch


def expected(bundle: Path, batch: np.ndarray) -> list[RawPrediction]:
    backend = OnnxRuntimeBackend(bundle / GRAPH)
    return [backend.infer(canvas) for canvas in batch]


@pytest.mark.usefixtures("on_cpu")
def test_bound_buffers_answer_as_a_plain_session_does(bundle: Path) -> None:
    backend = open_cuda(bundle / GRAPH)
    assert (backend.name, backend.precision, backend.max_batch) == ("cuda", "f32", 8)
    for _ in range(2):  # the first run binds, the second replays
        for size in SIZES:
            check_equal(backend.infer(figure_canvas(size)), *expected(bundle, figure_canvas(size)[None]))
        found = backend.infer_batch(canvases(3))
        assert len(found) == 3
        for a, b in zip(found, expected(bundle, canvases(3)), strict=True):
            check_equal(a, b)
    assert sorted(shape[0] for shape in backend._shapes) == [1, 1, 4]  # three are filled up to four


@pytest.mark.usefixtures("on_cpu")
def test_the_graph_for_batches_is_taken_where_the_bundle_lists_it(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def remember(graph: Path, _: list[object]) -> object:
        opened.append(graph.name)
        return ort.InferenceSession(graph, providers=[CPU])

    monkeypatch.setattr(cuda, "open_session", remember)
    bundle = figure_bundle(tmp_path)
    shutil.copyfile(bundle / GRAPH, bundle / BATCH)
    open_backend("cuda", bundle, read_bundle(bundle), "f32", settings)
    list_files(bundle, read_bundle(bundle), BATCH)
    open_backend("cuda", bundle, read_bundle(bundle), "f32", settings)
    assert opened == [GRAPH, BATCH]


@pytest.mark.usefixtures("on_cpu")
def test_a_graph_that_cannot_be_captured_runs_without(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refusing(graph: Path, providers: list[object]) -> object:
        if providers == ["capturing"]:
            raise RuntimeError("cannot use the CUDA Graph feature")
        return ort.InferenceSession(graph, providers=[CPU])

    monkeypatch.setattr(cuda, "open_session", refusing)
    backend = CudaBackend("cuda", bundle / GRAPH, ["capturing"], fallback=[CPU])
    assert "without CUDA graphs: cannot use" in caplog.text
    check_equal(backend.infer(figure_canvas(SIZES[0])), *expected(bundle, figure_canvas(SIZES[0])[None]))
    with pytest.raises(BackendError, match="cannot open the graph"):
        CudaBackend("cuda", bundle / GRAPH, ["capturing"])


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider' is not in available")
def test_cuda_that_fell_back_to_the_cpu_stops_the_start(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "has_provider", lambda _: True)
    with pytest.raises(BackendError, match="fell back to the CPU: check the driver with nvidia-smi"):
        open_cuda(bundle / GRAPH)


def test_calls_of_cuda_that_fail_say_so(cudart: HostCudart, monkeypatch: pytest.MonkeyPatch) -> None:
    cudart.failing = "cudaMalloc"
    with pytest.raises(BackendError, match="cudaMalloc failed with CUDA's error 2"):
        cuda_memory.Cuda().device(8)

    def missing(_: str) -> None:
        raise OSError

    monkeypatch.setattr(cuda_memory.ctypes, "CDLL", missing)
    with pytest.raises(BackendError, match=r"none of libcudart.so.13, .* is found"):
        cuda_memory.Cuda()


def test_providers_are_found_without_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxruntime" / "capi").mkdir(parents=True)
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    (tmp_path / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so").touch()
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert has_provider("cuda")
    assert not has_provider("tensorrt")


class HostEngine:
    """A TensorRT engine that ONNX Runtime computes; profile 0 is for one image, profile 1 for two to four."""

    num_optimization_profiles = 2
    device_memory_size_v2 = 4096

    def __init__(self, graph: bytes) -> None:
        self.session = ort.InferenceSession(graph, providers=[CPU])
        self.names = ["image", *(o.name for o in self.session.get_outputs())]
        self.num_io_tensors = len(self.names)

    def get_tensor_name(self, number: int) -> str:
        return self.names[number]

    def get_tensor_shape(self, _: str) -> tuple[int, ...]:
        return (-1, -1, -1)

    def get_tensor_dtype(self, name: str) -> str:
        return "tensor(uint8)" if name == "image" else {o.name: o.type for o in self.session.get_outputs()}[name]

    def get_tensor_profile_shape(self, _: str, profile: int) -> tuple[tuple[int, ...], ...]:
        least, most = ((1, 64, 64, 3), (1, 256, 256, 3)) if profile == 0 else ((2, 64, 64, 3), (4, 96, 96, 3))
        return least, most, most

    def create_execution_context(self, strategy: str) -> HostContext:
        assert strategy == "user's"
        return HostContext(self)


class HostContext:
    """An execution context that reads and writes at the addresses it is given."""

    def __init__(self, engine: HostEngine) -> None:
        self.engine, self.addresses, self.works = engine, {}, True

    def set_device_memory(self, address: int, size: int) -> None:
        assert address
        assert size == self.engine.device_memory_size_v2

    def set_optimization_profile_async(self, profile: int, stream: int) -> None:
        self.profile = self.engine.get_tensor_profile_shape("image", profile)
        assert stream == 7

    def set_input_shape(self, _: str, shape: tuple[int, ...]) -> None:
        assert self.profile[0] <= shape <= self.profile[2]
        self.image = shape
        values = self.engine.session.run(None, {"image": np.zeros(shape, np.uint8)})
        self.shapes = {"image": shape, **{n: v.shape for n, v in zip(self.engine.names[1:], values, strict=True)}}

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, _: int) -> bool:
        image = np.ctypeslib.as_array((ctypes.c_ubyte * int(np.prod(self.image))).from_address(self.addresses["image"]))
        values = self.engine.session.run(None, {"image": image.reshape(self.image)})
        for name, value in zip(self.engine.names[1:], values, strict=True):
            ctypes.memmove(self.addresses[name], np.ascontiguousarray(value).ctypes.data, value.nbytes)
        return self.works


@pytest.fixture
def engines(
    bundle: Path, manifest: Manifest, tmp_path: Path, cudart: HostCudart, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A bundle with an engine of another machine, one of another graph, and one of this machine and graph."""

    def deserialize(content: bytes) -> HostEngine | None:
        return None if content == b"another GPU" else HostEngine(content)

    def remember(self: cuda_memory.Cuda, work: Callable[[], None]) -> Callable[[], None]:
        captured = original(self, work)

        def replay() -> None:
            cudart.work = work
            captured()

        return replay

    original = cuda_memory.Cuda.captured
    monkeypatch.setattr(cuda_memory.Cuda, "captured", remember)
    module = SimpleNamespace(
        __version__="11.4",
        Logger=type("Logger", (), {"ERROR": 1, "__init__": lambda self, _: None}),
        Runtime=lambda _: SimpleNamespace(deserialize_cuda_engine=deserialize),
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user's"),
        nptype=lambda kind: {"tensor(uint8)": np.uint8, "tensor(int32)": np.int32}.get(kind, np.float32),
        __spec__=SimpleNamespace(),
    )
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    folder = copy / "engines"
    folder.mkdir()
    (folder / f"a{manifest.engine_ending('fp16')}").write_bytes(b"another GPU")
    shutil.copyfile(bundle / GRAPH, folder / "b-01234567.f32.engine")
    shutil.copyfile(bundle / GRAPH, folder / f"b{manifest.engine_ending('bf16')}")
    return copy


def test_an_engine_answers_as_the_graph_does(
    engines: Path, bundle: Path, manifest: Manifest, cudart: HostCudart
) -> None:
    backend = open_tensorrt(engines, manifest, "bf16", None)
    assert isinstance(backend, TensorRtBackend)
    assert (backend.name, backend.precision, backend.max_batch) == ("tensorrt", "bf16", 4)
    for size in SIZES:
        check_equal(backend.infer(figure_canvas(size)), *expected(bundle, figure_canvas(size)[None]))
    for a, b in zip(backend.infer_batch(canvases(3)), expected(bundle, canvases(3)), strict=True):
        check_equal(a, b)
    assert cudart.launches == 3
    with pytest.raises(BackendError, match="no optimisation profile for"):
        backend.infer(np.zeros((512, 512, 3), np.uint8))


def test_an_engine_that_fails(engines: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostContext, "execute_async_v3", lambda *_: False)
    with pytest.raises(BackendError, match="TensorRT cannot run the engine"):
        TensorRtBackend(engines, manifest, "bf16").infer(figure_canvas(SIZES[0]))


def test_the_first_precision_whose_engine_fits_and_passes_is_taken(
    engines: Path, manifest: Manifest, settings: Settings
) -> None:
    def choose(precision: str, check: Callable[[Backend], None] = lambda _: None) -> tuple[Backend, str]:
        asked = settings.model_copy(update={"backend": "tensorrt", "precision": precision})
        backend, _, reason = choose_backend(engines, manifest, asked, check)
        return backend, reason

    def refuse_bf16(backend: Backend) -> None:
        if backend.precision == "bf16":
            raise BackendError("another answer")

    backend, reason = choose("auto")
    assert backend.precision == "bf16"
    assert "HUMANPARSE_BACKEND=tensorrt; not tensorrt fp16: " in reason
    missing = r"no engine in {} of its graph for this GPU and TensorRT 11\.4: .* tensorrt .* --precision {}"
    for precision in ("fp16", "f32"):  # of another GPU; of another graph
        with pytest.raises(BackendError, match=missing.format(precision, precision)):
            choose(precision)
    shutil.copyfile(engines / GRAPH, engines / "engines" / f"b{manifest.engine_ending('f32')}")
    backend, reason = choose("auto", refuse_bf16)
    assert backend.precision == "f32"
    assert "not tensorrt bf16: another answer" in reason


@pytest.mark.usefixtures("on_cpu")
def test_without_tensorrt_itself_onnxruntimes_provider_is_taken(
    bundle: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []

    def on_the_cpu(graph: Path, providers: list[object]) -> object:
        opened.extend(providers)
        return ort.InferenceSession(graph, providers=[CPU])

    monkeypatch.setattr(cuda, "open_session", on_the_cpu)
    monkeypatch.setattr(tensorrt, "has_provider", lambda _: True)
    backend = open_tensorrt(bundle, manifest, "f32", tmp_path)
    assert (backend.name, backend.precision) == ("tensorrt", "f32")
    assert opened[0][0] == "TensorrtExecutionProvider"
    assert opened[0][1]["trt_engine_cache_path"] == str(tmp_path / "tensorrt")
    check_equal(backend.infer(figure_canvas(SIZES[0])), *expected(bundle, figure_canvas(SIZES[0])[None]))
    with pytest.raises(BackendError, match="would round the decoder"):
        open_tensorrt(bundle, manifest, "fp16", tmp_path)
