"""Sends the same texts to every page: nobody waits for a slow one, and none makes memory grow."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEPT = 12
"""Texts kept for pages that are a little late (a second); later ones skip to the newest."""


class Hub:
    """The newest texts, numbered from 0."""

    def __init__(self) -> None:
        self._kept: deque[str] = deque(maxlen=KEPT)
        self._next = 0
        self._came = asyncio.Event()

    def publish(self, text: str) -> None:
        """Keep a text, and wake whoever waits for it."""
        self._kept.append(text)
        self._next += 1
        self._came.set()
        self._came = asyncio.Event()

    def texts(self) -> AsyncIterator[str]:
        """Return every text from now on, as fast as they are asked for; a slow reader misses some."""
        return self._from(self._next)

    async def _from(self, at: int) -> AsyncIterator[str]:
        while True:
            if at == self._next:
                await self._came.wait()
            if self._next - at > len(self._kept):
                at = self._next - 1
            text = self._kept[at - self._next]
            at += 1
            yield text
