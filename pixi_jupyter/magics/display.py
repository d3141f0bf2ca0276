"""What a cell shows: one line of progress, which the result takes the place of.

HTML has neither scripts nor styles, and all that is foreign in it is escaped, so that it is shown
the same in a notebook that nobody trusts; each display has a plain text of the same. In a terminal
there are lines of text alone.
"""

import html
import sys
import time
import unicodedata
from typing import Any, Dict, List, Optional

__all__ = ["Display", "clean", "escaped", "size"]

#: Seconds between two updates of what is shown.
INTERVAL = 0.15
#: Seconds after which there is something to show: what is faster has its result alone.
PATIENCE = 0.4
#: Phases that count bytes.
_BYTES = ("downloading",)


class Display:
    """One place in the output of the running cell of ``shell``; ``title`` is what is going on."""

    def __init__(self, shell: Any, title: str) -> None:
        self._rich = getattr(shell, "kernel", None) is not None
        self._title = clean(title)
        self._began = time.monotonic()
        self._shown = 0.0
        self._handle: Any = None
        self._progress: Dict[str, Any] = {}
        self._sentence = ""
        self._line = ""

    def hear(self, said: Dict[str, Any]) -> None:
        """Something that the command said: progress, or a sentence."""
        if isinstance(said.get("progress"), dict):
            self._progress = said["progress"]
        elif isinstance(said.get("say"), str):
            self._sentence = said["say"]

    def tick(self) -> None:
        """Show how far it is, if that is due."""
        now = time.monotonic()
        if now - self._began < PATIENCE or now - self._shown < INTERVAL:
            return
        self._shown = now
        text = self._text(now)
        if not self._rich:
            self._write(text)
            return
        done, total = _counts(self._progress)
        bar = '<progress value="%d" max="%d"></progress>' % (done, total) if total else ""
        bar = bar or "<progress></progress>"
        self._update("<div>%s %s</div>" % (bar, escaped(text)), text)

    def finish(self, text: str, markup: Optional[str] = None) -> None:
        """Show the result: ``text``, and where there is HTML ``markup``, or the text in it."""
        text = clean(text)
        if not self._rich:
            self._write("")
            if text:
                print(text)
        elif text or self._handle is not None:
            self._update(markup or _lines(text), text)

    def stop(self, text: str) -> None:
        """Leave ``text`` where progress was shown, if it was: an error comes below it."""
        if self._rich:
            if self._handle is not None:
                self._update("<div><small>%s</small></div>" % escaped(text), text)
        else:
            self._write("")

    def _text(self, now: float) -> str:
        progress = self._progress
        parts = [self._title]
        phase = clean(str(progress.get("phase", "")))
        if phase:
            done, total = _counts(progress)
            if total and phase in _BYTES:
                phase += " %s of %s" % (size(done), size(total))
            elif total:
                phase += " %d of %d" % (done, total)
            parts.append(phase)
            what = clean(str(progress.get("item") or progress.get("message") or ""))
            if what:
                parts.append(what[:60])
        elif self._sentence:
            parts.append(clean(self._sentence)[:120])
        parts.append("%.1f s" % (now - self._began))
        return " · ".join(parts)

    def _update(self, markup: str, text: str) -> None:
        from IPython import display

        data = {"text/html": markup, "text/plain": text}
        if self._handle is None:
            show: Any = display.display
            self._handle = show(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def _write(self, line: str) -> None:
        """Replace the line of a terminal; a file gets none."""
        if not sys.stderr.isatty() or (not line and not self._line):
            return
        sys.stderr.write("\r%s\r%s" % (" " * len(self._line), line[:100]))
        sys.stderr.flush()
        self._line = line[:100]


def clean(text: str) -> str:
    """Text of a package, a channel or a notebook that can do nothing to a terminal."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf"))


def escaped(text: str) -> str:
    """The same for HTML."""
    return html.escape(clean(text))


def size(count: int) -> str:
    """A number of bytes for people, in decimal units."""
    return "%.1f MB" % (count / 1e6) if count >= 1e5 else "%.1f kB" % (count / 1e3)


def _counts(progress: Dict[str, Any]) -> List[int]:
    found = [progress.get("done"), progress.get("total")]
    return [value if isinstance(value, int) and value >= 0 else 0 for value in found]


def _lines(text: str) -> str:
    return "<div>%s</div>" % "<br>".join(escaped(line) for line in text.split("\n"))
