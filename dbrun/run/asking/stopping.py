"""Cutting a text at stop strings while it comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence

from ..outputs import cut


class StopCut:
    """Lets pieces of a text through up to the earliest of the *stop* strings.

    What may be the beginning of one is held back until the next piece tells. All that is let
    through, joined, is what `cut` makes of the whole text. *is_over* says that a stop string was
    found: what follows it is not wanted.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [word for word in stop if word]
        self._held = ""
        self.is_over = False

    def feed(self, piece: str) -> str:
        """What of the text so far may be handed out."""
        if self.is_over:
            return ""
        text = self._held + piece
        found = min((at for word in self._stop if (at := text.find(word)) >= 0), default=len(text))
        doubt = self._doubt(text)
        if found < len(text) and found <= doubt:
            self.is_over, self._held = True, ""
            return text[:found]
        self._held = text[doubt:]
        return text[:doubt]

    def end(self) -> str:
        """What was held back and is part of the text after all."""
        text, was_cut = cut(self._held, self._stop)
        self._held = ""
        self.is_over = self.is_over or was_cut
        return text

    def _doubt(self, text: str) -> int:
        """Where the first stop string may begin of which *text* has no end."""
        longest = max((len(word) for word in self._stop), default=0)
        for at in range(max(0, len(text) - longest + 1), len(text)):
            if any(word.startswith(text[at:]) for word in self._stop):
                return at
        return len(text)
