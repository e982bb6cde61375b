"""Puts WS /stream of a running server under load: how many frames a second are answered, and how late."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from service.commands.bench import image_1080p, percentiles
from service.commands.load import ANSWER_SECONDS, Load, LoadError


@dataclass
class _Outcome:
    """What became of the frames of all streams."""

    sent: int = 0
    answered_ms: list[float] = field(default_factory=list)  # from the moment that this very frame was sent
    dropped: int = 0  # for newer ones
    refused: int = 0  # under load


def load_streams(asked: Load) -> str:
    """Return a JSON report of `asked.clients` streams. Raises LoadError.

    Each sends its next frame when the last one is answered, or, with `asked.rate`, so many a second.
    """
    image, outcome = image_1080p(asked.image), _Outcome()

    async def streams() -> None:
        await asyncio.gather(*(_stream(asked, image, outcome) for _ in range(asked.clients)))

    begun = time.perf_counter()
    try:
        asyncio.run(streams())
    except (OSError, WebSocketException) as error:  # TimeoutError is an OSError
        raise LoadError(f"{asked.url} answers no stream: {error}") from error
    seconds = time.perf_counter() - begun
    report = {
        "streams": asked.clients,
        "rate": asked.rate,
        "frames_per_second": round(outcome.sent / seconds, 2),
        "answers_per_second": round(len(outcome.answered_ms) / seconds, 2),
        "dropped": outcome.dropped,
        "refused": outcome.refused,
        "answered_ms": percentiles(outcome.answered_ms) if outcome.answered_ms else None,
    }
    return json.dumps(report, indent=2)


async def _stream(asked: Load, image: bytes, outcome: _Outcome) -> None:
    url = f"ws{asked.url.removeprefix('http').rstrip('/')}/stream"
    headers = {} if asked.key is None else {"Authorization": f"Bearer {asked.key}"}
    begun, sent = time.perf_counter(), list[float]()
    async with connect(
        url,
        additional_headers=headers,
        compression=None,
        max_size=None,
        open_timeout=ANSWER_SECONDS,
        proxy=None,
    ) as socket:

        async def send() -> None:
            sent.append(time.perf_counter())
            outcome.sent += 1
            await socket.send(image)

        async def send_evenly(frames: int, rate: float) -> None:
            for number in range(frames):
                await asyncio.sleep(begun + number / rate - time.perf_counter())
                await send()

        async def receive() -> int:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = json.loads(await socket.recv())
            frame = answer.get("frame")
            if frame is None:  # the last message of a stream that the server ends
                raise LoadError(f"{asked.url} refused a stream: {answer['problem']['title']}")
            outcome.dropped += answer["dropped"]
            if "problem" in answer:
                outcome.refused += 1
            else:
                outcome.answered_ms.append((time.perf_counter() - sent[frame - 1]) * 1e3)
            return int(frame)

        if asked.rate is None:
            while time.perf_counter() < begun + asked.seconds:
                await send()
                await receive()
            return
        frames = max(1, round(asked.seconds * asked.rate))
        sending = asyncio.create_task(send_evenly(frames, asked.rate))
        try:
            while await receive() < frames:  # the newest frame is always answered
                pass
        finally:
            sending.cancel()
