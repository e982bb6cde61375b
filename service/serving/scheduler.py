"""Schedules images: which are accepted, when their stages run, and which come too late.

An image is decoded, inferred and encoded. Inferences run one at a time, because a backend serves one image; decoding
and encoding have threads of their own beside it. An image is accepted if there is room in the queue and, where it has a
deadline, if it can be expected to meet it: after what the images before it still need, as measured so far, times a
margin that grows with every image that took longer than expected and shrinks with the others. Before each stage an
image that can no longer make it, or whose client has hung up, is dropped.

All methods run in the event loop, but for the work itself.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal, TypeVar

from service.problems import Problem
from service.serving.timing import Stopwatch

T = TypeVar("T")
Stage = Literal["decode", "infer", "encode"]

STAGES: tuple[Stage, ...] = ("decode", "infer", "encode")
FIRST_GUESS = 0.01  # seconds of a stage that has not run yet
SMOOTHING = 0.1  # weight of the newest time in the running mean
OUTLIER = 4.0  # a longer time counts as this many means: one huge image must not shut out all others
HALF_LIFE = 5.0  # seconds after which half of what a mean has over the shortest time is forgotten
UPLOAD_SECONDS = 0.5  # for so long an image that is being uploaded keeps its place in the queue
# The margin settles where this share of images takes longer than expected (a quantile by stochastic approximation;
# Robbins and Monro, 1951).
LATE_SHARE, STEP = 0.005, 0.1
MARGINS = (0.5, 3.0)


class Estimate:
    """What a stage takes in seconds: a running mean.

    While nothing refreshes it, it returns to the shortest time seen. Else a server that was slow for a moment would
    refuse all deadlines for ever, because refusing teaches it nothing.
    """

    def __init__(self, seconds: float) -> None:
        self._mean = self._shortest = seconds
        self._measured = time.perf_counter()

    def seconds(self) -> float:
        """Return the estimate as of now."""
        age = time.perf_counter() - self._measured
        return self._shortest + (self._mean - self._shortest) * math.exp2(-age / HALF_LIFE)

    def learn(self, seconds: float) -> None:
        """Update it with a measured time."""
        mean = self.seconds()
        self._mean = mean + SMOOTHING * (min(seconds, OUTLIER * mean) - mean)
        self._shortest = min(self._shortest, seconds)
        self._measured = time.perf_counter()


class Scheduler:
    """The queue, the threads, and what stages take.

    `infer_seconds` are first estimates for each level of detail.
    """

    def __init__(self, queue_limit: int, codec_threads: int, infer_seconds: Mapping[str, float]) -> None:
        self.queue_limit = queue_limit
        self.margin = 1.0
        self.threads: dict[Stage, int] = {"decode": codec_threads, "infer": 1, "encode": codec_threads}
        self.pools = {stage: ThreadPoolExecutor(n, thread_name_prefix=stage) for stage, n in self.threads.items()}
        self._estimates = {("infer", detail): Estimate(seconds) for detail, seconds in infer_seconds.items()}
        self._tickets: set[Ticket] = set()

    @property
    def waiting(self) -> int:
        """Number of images accepted whose inference has not begun."""
        now = time.perf_counter()
        return sum(ticket.is_waiting and ticket.counts(now) for ticket in self._tickets)

    @property
    def running(self) -> int:
        """Number of inferences under way."""
        return sum(ticket.is_inferring for ticket in self._tickets)

    @contextmanager
    def admitted(self, detail: str, deadline: float | None = None) -> Iterator[Ticket]:
        """Accept an image, whose file may still be on its way, until it is answered.

        `deadline` is a time of time.perf_counter's clock. Raises Problem "queue-full" or "deadline-unreachable".
        """
        self.check_room(detail, deadline)
        ticket = Ticket(self, detail, deadline)
        self._tickets.add(ticket)
        try:
            yield ticket
        finally:
            ticket.close()

    def check_room(self, detail: str, deadline: float | None) -> None:
        """Raises Problem unless one more image can be accepted now."""
        wait, own = self.expected(detail)
        if (waiting := self.waiting) >= self.queue_limit:
            raise Problem("queue-full", f"{waiting} images are waiting: try again later", retry_after=wait)
        # Where nobody waits, a try that fails hurts nobody.
        seconds = self.margin * (wait + own) if wait else own
        if deadline is not None and time.perf_counter() + seconds > deadline:
            reason = f"a response takes about {seconds * 1e3:.0f} ms now"
            raise Problem("deadline-unreachable", reason, retry_after=wait)

    def expected(self, detail: str, but: Ticket | None = None) -> tuple[float, float]:
        """Return the seconds that an image would wait for all others `but` itself, and those it takes itself."""
        now = time.perf_counter()
        others = [ticket for ticket in self._tickets if ticket is not but and ticket.counts(now)]
        wait = max(sum(t.remaining(stage, now) for t in others) / n for stage, n in self.threads.items())
        return wait, sum(self.seconds(stage, detail) for stage in STAGES)

    def seconds(self, stage: Stage, detail: str) -> float:
        """Return what a stage takes at a level of detail."""
        estimate = self._estimates.get((stage, detail))
        return FIRST_GUESS if estimate is None else estimate.seconds()

    def learn(self, stage: Stage, detail: str, seconds: float) -> None:
        """Update what a stage takes."""
        self._estimates.setdefault((stage, detail), Estimate(seconds)).learn(seconds)

    def learn_margin(self, late: bool) -> None:
        """Update the margin with an image that took longer than expected, or did not."""
        low, high = MARGINS
        self.margin = min(max(self.margin * math.exp(STEP * (late - LATE_SHARE)), low), high)

    def forget(self, ticket: Ticket) -> None:
        """Take an image out of the queue."""
        self._tickets.discard(ticket)

    def close(self) -> None:
        """End the threads after what they are doing."""
        for pool in self.pools.values():
            pool.shutdown(cancel_futures=True)


class Ticket:
    """An accepted image: takes it through its stages, each at its turn."""

    def __init__(self, scheduler: Scheduler, detail: str, deadline: float | None) -> None:
        self.detail = detail  # may be set until the image is decoded
        self.stopwatch = Stopwatch()
        self._scheduler, self._deadline = scheduler, deadline
        self._accepted = time.perf_counter()
        self._expected_end: float | None = None  # known once the whole file is here
        self._stage = 0  # index in STAGES of the stage that runs, or else of the next one
        self._begun: float | None = None  # when the stage that runs began
        self._closed = False

    @property
    def is_waiting(self) -> bool:
        """Whether the inference is to come."""
        return self._stage == 0 or (self._stage == 1 and self._begun is None)

    @property
    def is_inferring(self) -> bool:
        """Whether the inference runs."""
        return self._stage == 1 and self._begun is not None

    def counts(self, now: float) -> bool:
        """Whether others have to wait for this image: they do not for a slow upload."""
        return self._expected_end is not None or now < self._accepted + UPLOAD_SECONDS

    def remaining(self, stage: Stage, now: float) -> float:
        """Return the seconds that a stage will still take."""
        index = STAGES.index(stage)
        if index < self._stage:
            return 0.0
        seconds = self._scheduler.seconds(stage, self.detail)
        return max(0.0, seconds - (now - self._begun)) if index == self._stage and self._begun else seconds

    async def run(self, stage: Stage, work: Callable[[], T]) -> T:
        """Return the result of `work`, which runs in a thread of its stage at its turn. The file is whole by now.

        Raises Problem "deadline-passed", before `work` if the image can no longer make it; "queue-full" or
        "deadline-unreachable" if the upload took so long that the image lost its place; whatever `work` raises.
        """
        if self._expected_end is None:
            self._arrive()
        asked, loop = time.perf_counter(), asyncio.get_running_loop()

        def turn() -> tuple[T, float, float] | None:
            if not self._in_time():
                return None
            begun = time.perf_counter()
            loop.call_soon_threadsafe(self._begin, begun)
            try:
                return work(), begun - asked, time.perf_counter() - begun
            finally:
                loop.call_soon_threadsafe(self._end)

        try:
            async with asyncio.timeout(None if self._deadline is None else self._deadline - asked):
                done = await loop.run_in_executor(self._scheduler.pools[stage], turn)
        except TimeoutError:
            done = None
        if done is None:
            self._scheduler.learn_margin(late=True)
            raise Problem("deadline-passed", f"the deadline passed before the image was {stage}d")
        result, waited, took = done
        self.stopwatch.add(stage, took)
        self.stopwatch.add("queue", waited)
        self._scheduler.learn(stage, self.detail, took)
        if self._stage == len(STAGES) and self._expected_end is not None:
            self._scheduler.learn_margin(late=time.perf_counter() > self._expected_end)
        return result

    def close(self) -> None:
        """Leave the queue; a stage that runs counts until its end, because nobody can stop it."""
        self._closed = True
        if self._begun is None:
            self._scheduler.forget(self)

    def _arrive(self) -> None:
        if not self.counts(time.perf_counter()):
            self._scheduler.check_room(self.detail, self._deadline)
        wait, own = self._scheduler.expected(self.detail, but=self)
        self._expected_end = time.perf_counter() + self._scheduler.margin * (wait + own)
        self.stopwatch = Stopwatch()

    def _in_time(self) -> bool:
        """Whether the deadline can be met by the stages to come."""
        rest = sum(self._scheduler.seconds(stage, self.detail) for stage in STAGES[self._stage :])
        return self._deadline is None or time.perf_counter() + rest <= self._deadline

    def _begin(self, now: float) -> None:
        self._begun = now

    def _end(self) -> None:
        self._begun = None
        self._stage += 1
        if self._closed:
            self._scheduler.forget(self)
