"""Knows who may call, and how often: API keys by name, a rate for each."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping

from service.problems import Problem
from service.settings import Settings, SettingsError

BURST_SECONDS = 10.0  # a key that was silent may catch up on this time
SETTING = "HUMANPARSE_API_KEY_FILE"


class Keys:
    """The keys that are accepted. Without any, everybody may call."""

    def __init__(self, keys: Mapping[str, str], rate: float = 0.0) -> None:
        """`keys` by name; `rate` in images a second and key, 0 for no limit."""
        self._digests = {name: _digest(key) for name, key in keys.items()}
        self._buckets = {name: TokenBucket(rate) for name in keys} if rate else {}

    @property
    def names(self) -> list[str]:
        """The names of the keys."""
        return list(self._digests)

    def name_of(self, given: str) -> str | None:
        """Return the name of a key, None if keys are not asked for. Raises Problem "unauthorized".

        Digests of all keys are compared, so that the time tells neither a key nor its length.
        """
        if not self._digests:
            return None
        digest = _digest(given)
        found = [name for name, known in self._digests.items() if hmac.compare_digest(digest, known)]
        if not found:
            raise Problem("unauthorized", "send the header Authorization: Bearer <key>")
        return found[0]

    def take(self, name: str | None) -> None:
        """Count an image of a key. Raises Problem "rate-limited"."""
        if (bucket := self._buckets.get(name or "")) is not None and (wait := bucket.take()):
            raise Problem("rate-limited", f"the key may send {bucket.rate:g} images a second", retry_after=wait)


class TokenBucket:
    """Lets `rate` a second pass, at most those of `BURST_SECONDS` at once."""

    def __init__(self, rate: float) -> None:
        self.rate, self._size = rate, max(1.0, rate * BURST_SECONDS)
        self._tokens, self._filled = self._size, time.monotonic()

    def take(self) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        now = time.monotonic()
        self._tokens = min(self._size, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.rate
        self._tokens -= 1
        return 0.0


def read_keys(settings: Settings) -> Keys:
    """Read the key files of the settings. Raises SettingsError."""
    if settings.api_key_file is None:
        if settings.rate_limit:
            raise SettingsError(f"HUMANPARSE_RATE_LIMIT is a limit for each key: set {SETTING}")
        return Keys({})
    path = settings.api_key_file
    try:
        # Secrets that are mounted as a folder bring hidden entries of their own.
        files = [f for f in sorted(path.iterdir()) if f.name[0] != "." and f.is_file()] if path.is_dir() else [path]
        keys = {file.name: file.read_text(encoding="utf-8").strip() for file in files}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{SETTING} cannot be read: {error}") from error
    empty = [name for name, key in keys.items() if not key]
    if empty or not keys:
        raise SettingsError(f"{SETTING}: {path / empty[0] if empty and path.is_dir() else path} is empty")
    if len(set(keys.values())) < len(keys):
        raise SettingsError(f"{SETTING}: two files of {path} have the same key")
    return Keys(keys, settings.rate_limit)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
