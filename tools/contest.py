"""Contenders in turn: what bench_inference.py, bench_training.py and bench_gpu.py share."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasfast.serving.processor import available_cores, bfloat16_arithmetic, processor_flags
from kerasfast.serving.turns import Runner, TooSlowError, TurnError

ROOT = Path(__file__).resolve().parent.parent
# What of a processor's flags says how it multiplies.
_FLAGS = ("fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
# Variables that change how memory or kernels behave, for whatever is measured.
_VARIABLES = ("GLIBC_TUNABLES", "OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "KMP_BLOCKTIME")
_TURN_SECONDS = 0.5  # short calls are counted together


@dataclass(frozen=True)
class Entrant:
    """A contender: the process that computes it.

    Attributes:
        name: Of the contender.
        command: Program and arguments; it calls `take_turns`.
        refused: Why it cannot take part, where that is known before.
        environment: Variables of its process.
    """

    name: str
    command: Sequence[str]
    refused: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def contest(
    entrants: Iterable[Entrant], rounds: int, *, limit: float = 60.0, budget: float = 60.0
) -> dict[str, dict[str, Any]]:
    """Start every contender, then let them run in turn, several times.

    Args:
        entrants: The contenders.
        rounds: Turns of each.
        limit: Seconds that a first run may take; who takes longer is left out, with a note.
        budget: Seconds for all turns of a contender; a slow one gets fewer turns.

    Returns:
        By name `{"median_seconds", "turns": seconds of each, "first_seconds", "prepare_seconds", "resting_mib",
        "peak_mib", "facts", "idle_cpu"}`, or `{"skipped": reason}`, with `longer_than_seconds` where it is known.
        `idle_cpu` is the largest share of a core that the process used in the turn of another.
    """
    results: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        running: dict[str, Runner] = {}
        for entrant in entrants:
            if entrant.refused:
                results[entrant.name] = {"skipped": entrant.refused}
                continue
            runner = Runner(entrant.command, environment=entrant.environment, timeout=max(300.0, 2 * limit))
            try:
                results[entrant.name] = runner.ready(limit)
            except TurnError as error:
                results[entrant.name] = {"skipped": str(error)}
                if isinstance(error, TooSlowError):
                    results[entrant.name]["longer_than_seconds"] = limit
                runner.close()
                print(f"  {entrant.name}: skipped, {error}", flush=True)
                continue
            running[entrant.name] = stack.enter_context(runner)
            print(f"  {entrant.name}: first run {results[entrant.name]['first_seconds']:.3g} s", flush=True)
        _rounds(running, results, rounds, budget)
    return results


def _rounds(running: dict[str, Runner], results: dict[str, dict[str, Any]], rounds: int, budget: float) -> None:
    turns: dict[str, list[float]] = {name: [] for name in running}
    idle: dict[str, list[float]] = {name: [0.0] for name in running}
    repeats, wanted = dict.fromkeys(running, 1), dict.fromkeys(running, rounds)
    for name, runner in running.items():  # who is slow has warmed up enough in the first run
        first = results[name]["first_seconds"]
        again = min(runner.turn()["seconds"]) if first < budget / 4 else first
        repeats[name] = max(1, int(_TURN_SECONDS / again))
        wanted[name] = min(rounds, max(1, int(budget / (again * repeats[name]))))
    for number, name in itertools.product(range(rounds), running):
        if number >= wanted[name]:
            continue
        others = {other: cpu_seconds(running[other].process.pid) for other in running if other != name}
        begin = time.perf_counter()
        answer = running[name].turn(repeats[name])
        wall = time.perf_counter() - begin
        for other, before in others.items():
            idle[other].append((cpu_seconds(running[other].process.pid) - before) / wall)
        turns[name].append(statistics.median(answer["seconds"]))
        results[name]["peak_mib"] = answer["peak_mib"]
    for name, seconds in turns.items():
        median = statistics.median(seconds)
        results[name] |= {"median_seconds": median, "turns": seconds, "idle_cpu": max(idle[name])}
        print(f"  {name}: {median:.4g} s", flush=True)


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, all its threads; 0 on another system than Linux."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    ticks = stat.read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def script(name: str, *arguments: object) -> list[str]:
    """The command of a script of this folder."""
    return [sys.executable, "-W", "ignore", str(ROOT / "tools" / name), *map(str, arguments)]


def machine() -> dict[str, Any]:
    """What was measured on."""
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "architecture": platform.machine(),
        "flags": [flag for flag in _FLAGS if flag in processor_flags()],
        "bfloat16_arithmetic": bfloat16_arithmetic(),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = found.get("model name") or platform.processor()
    return f"{name}, family {found['cpu family']} model {found['model']}" if "cpu family" in found else name


def versions(*names: str) -> dict[str, str]:
    """Versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write_result(file: Path, result: dict[str, Any], *packages: str) -> None:
    """Write a benchmark's result as JSON, with the machine and the versions of Python and of packages added."""
    result |= {"machine": machine(), "versions": versions(*packages)}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
