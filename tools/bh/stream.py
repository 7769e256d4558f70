# SPDX-License-Identifier: MIT
"""A guest's serial line as the tests see it: everything kept, waiting by regular expression."""

import re
import threading
import time

TAIL_CHARS = 1500


class StreamError(Exception):
    """What was waited for did not come; the text holds the last output."""


class Stream:
    """One side of a connected socket. A thread reads it, so the guest never stalls."""

    def __init__(self, name, sock, log=None, echo=None, alarm=None):
        """ALARM: (regular expression, function called once with the stream when it appears)."""
        self.name = name
        self._alarm = alarm and (re.compile(alarm[0], re.M), alarm[1])
        self._sock = sock
        self._log = open(log, "wb", buffering=0) if log else None
        self._echo = echo
        self._text = ""
        self._seen = 0  # where the next wait() starts to look
        self._ended = None  # why no more is to be hoped for
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            try:
                data = self._sock.recv(65536)
            except OSError:
                data = b""
            if self._log and data:
                self._log.write(data)
            if self._echo and data:
                self._echo.write(data)
                self._echo.flush()
            with self._change:
                self._text += data.decode("utf-8", "replace").replace("\r", "")
                self._change.notify_all()
            self._sound_alarm()
            if not data:
                self.give_up("the line ended")
                return

    def _sound_alarm(self):
        if self._alarm and self._alarm[0].search(self.text):
            ring, self._alarm = self._alarm[1], None
            ring(self)

    def give_up(self, why):
        """Whoever waits, now or later, for what has not come yet fails at once."""
        with self._change:
            self._ended = self._ended or why
            self._change.notify_all()

    @property
    def text(self):
        """All output so far, without carriage returns."""
        with self._change:
            return self._text

    def tail(self):
        return self.text[-TAIL_CHARS:]

    def wait(self, pattern, timeout_s):
        """
        Waits until PATTERN (multi-line) is found after the previous match; returns the match.
        A pattern that ends with $ is found only in whole lines, others (prompts) also in what
        stands of a line so far. StreamError after timeout_s seconds, or when the line has ended
        without it.
        """
        compiled = re.compile(pattern, re.M)
        end = time.monotonic() + timeout_s
        with self._change:
            while True:
                until = self._text.rfind("\n") + 1 if pattern.endswith("$") else len(self._text)
                found = compiled.search(self._text, self._seen, until)
                if found:
                    self._seen = found.end()
                    return found
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    why = self._ended or f"nothing of it was said in {timeout_s} s"
                    raise StreamError(f"{self.name}: waited for /{pattern}/, but {why}; "
                                      f"its last output:\n{self._text[-TAIL_CHARS:]}")
                self._change.wait(left)

    def wait_end(self, timeout_s):
        """Waits until the other side is gone and all output is read; False when it is not."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def send(self, text):
        self._sock.sendall(text.encode())

    def close(self):
        self._sock.close()
        if self._log:
            self._log.close()
