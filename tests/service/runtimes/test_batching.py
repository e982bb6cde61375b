"""Canvases that wait together run together, and each caller gets the answer about its own."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.runtimes.batching import BatchingBackend, batching_pays

SIZE = (2, 3)


class Recorder:
    """Answers with a canvas's first value, and remembers the batches; 99 fails."""

    name, precision, parallel, max_batch = "gpu", "f32", 1, 4

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.open = threading.Event()
        self.open.set()

    def infer(self, canvas: np.ndarray, views: int = 1) -> int:
        self.batches.append(-views)
        return int(canvas.flat[0])

    def infer_batch(self, canvases: np.ndarray) -> list[int]:
        self.batches.append(len(canvases))
        assert self.open.wait(20)
        if (canvases == 99).any():
            raise ValueError("99")
        return [int(canvas.flat[0]) for canvas in canvases]


def canvas(value: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def test_a_batch_fills_while_another_runs() -> None:
    gpu = Recorder()
    backend = BatchingBackend(gpu, [SIZE, (4, 4)], delay=0.0)
    assert backend.parallel == 8
    gpu.open.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(backend.infer, canvas(1))
        while gpu.batches != [1]:
            time.sleep(0.001)
        others = [pool.submit(backend.infer, canvas(n)) for n in range(2, 7)]
        other_size = pool.submit(backend.infer, canvas(50, (4, 4)))
        while len(backend._waiting) < 6:
            time.sleep(0.001)
        gpu.open.set()
        assert [f.result(20) for f in (first, *others)] == [1, 2, 3, 4, 5, 6]
        assert other_size.result(20) == 50
    assert sorted(gpu.batches) == [1, 1, 1, 4]


def test_a_full_batch_does_not_wait_out_the_delay() -> None:
    gpu = Recorder()
    backend = BatchingBackend(gpu, [SIZE], delay=60.0)
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(backend.infer, [canvas(n) for n in range(4)])) == [0, 1, 2, 3]
    assert gpu.batches == [4]


def test_what_batches_do_not_pay_for_runs_alone() -> None:
    gpu = Recorder()
    backend = BatchingBackend(gpu, [SIZE], delay=60.0)
    assert backend.infer(canvas(3, (8, 8))) == 3
    assert backend.infer(canvas(4), views=2) == 4
    assert gpu.batches == [-1, -2]


def test_a_failure_reaches_the_callers_and_the_next_batch_runs() -> None:
    backend = BatchingBackend(Recorder(), [SIZE], delay=0.0)
    with pytest.raises(ValueError, match="99"):
        backend.infer(canvas(99))
    assert backend.infer(canvas(5)) == 5


@pytest.mark.parametrize(("per_image", "pays"), [(0.0, True), (0.01, False)])
def test_batches_pay_where_an_image_takes_less_time_in_them(per_image: float, pays: bool) -> None:
    class Timed(Recorder):
        def infer_batch(self, canvases: np.ndarray) -> list[int]:
            time.sleep(0.01 + per_image * 10 * (len(canvases) - 1))
            return [0] * len(canvases)

    assert batching_pays(Timed(), SIZE) is pays
    alone = Timed()
    alone.max_batch = 1
    assert not batching_pays(alone, SIZE)
