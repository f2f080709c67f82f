"""Processes that take turns at a measurement: all meet the same machine, and none computes while another does."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

_STATUS = Path("/proc/self/status")
_GRACE_SECONDS = 3.0  # for a process to end once nothing more will be asked of it


class TurnError(RuntimeError):
    """A process of a measurement ended, or did not answer; the message holds the last of what it wrote."""


class TooSlowError(TurnError):
    """A process did not answer within its time; it may compute still."""


def take_turns(prepare: Callable[[], tuple[Callable[[], object], Mapping[str, Any]]]) -> None:
    """The work of a process that `Runner` started: prepare, run once, then run as often as it is told.

    Between its turns the process waits for a line, and computes nothing.

    Args:
        prepare: Makes what is measured. Gives the function to time, which must not return before its results are
            there, and facts for the other side that JSON can hold.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries greet on standard output

    def answer(values: Mapping[str, Any]) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    begin = time.perf_counter()
    run, facts = prepare()
    prepared = time.perf_counter() - begin
    answer({"prepare_seconds": prepared, "resting_mib": memory_mib("VmRSS"), "facts": dict(facts)})
    answer({"first_seconds": _timed(run), "peak_mib": memory_mib("VmHWM")})
    for line in sys.stdin:
        seconds = [_timed(run) for _ in range(int(line))]
        answer({"seconds": seconds, "peak_mib": memory_mib("VmHWM")})


def _timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def memory_mib(field: str) -> float | None:
    """Memory of this process as the kernel counts it, or `None` on another system than Linux.

    Args:
        field: `VmRSS`, what it has now, or `VmHWM`, the most that it has had.
    """
    # Not getrusage: what it calls the largest of a process begins with that of the one that started it.
    if not _STATUS.exists():
        return None
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


class Runner:
    """A process that computes when it is its turn.

    It starts at once; `ready` waits until it has prepared. Use it in a `with` block, which ends it.

    Args:
        command: The program and its arguments; it calls `take_turns`.
        environment: Variables beside those of this process.
        timeout: Seconds to wait for an answer.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout: float = 900.0
    ) -> None:
        self.timeout = timeout
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **(environment or {})},
            text=True,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        # Windows cannot wait for a pipe with a time limit; a thread can.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout is not None:
            for line in self.process.stdout:
                self._answers.put(line)
        self._answers.put("")

    def ready(self, limit: float | None = None) -> dict[str, Any]:
        """Wait until it has prepared and run once.

        Args:
            limit: Seconds that its first run may take; those of `timeout` by default.

        Returns:
            `prepare_seconds`, `first_seconds`; `resting_mib` and `peak_mib`, the memory before the first run and the
            most so far, `None` on another system than Linux; `facts` of `prepare`.

        Raises:
            TurnError: It ended, or took longer than the time limit.
        """
        return {**self._next(self.timeout), **self._next(self.timeout if limit is None else limit)}

    def turn(self, repeats: int = 1) -> dict[str, Any]:
        """Let it run.

        Returns:
            `seconds` of each run, and `peak_mib`.

        Raises:
            TurnError: It ended, or took longer than the time limit.
        """
        if self.process.stdin is None or self.process.poll() is not None:
            raise TurnError(f"A measured process has ended before its turn. {self._last_words()}")
        try:
            self.process.stdin.write(f"{repeats}\n")
            self.process.stdin.flush()
        except BrokenPipeError:  # it ended this moment; its answer says how
            pass
        return self._next(self.timeout)

    def _next(self, limit: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            raise TooSlowError(f"A measured process gave no answer within {limit:g} s.") from None
        if not line:
            self.process.wait()
            raise TurnError(f"A measured process ended with exit code {self.process.returncode}. {self._last_words()}")
        return json.loads(line)

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return f"It wrote: {lines[-1]}" if lines else "It wrote nothing."

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
