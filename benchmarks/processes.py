"""What the operating system says about a server: its CPU time, its memory, and whether it listens."""

from typing import NamedTuple

import psutil


class Memory(NamedTuple):
    """The memory of the largest worker in bytes: resident, with a share of what it shares, and without that."""

    rss: int
    pss: int
    uss: int


def cpu(process: psutil.Process | None) -> float:
    """Return the CPU seconds of a process and its children so far, in user and kernel mode."""
    if process is None:
        return 0
    return sum(sum(member.cpu_times()[:2]) for member in [process, *process.children(recursive=True)])


def memory(process: psutil.Process) -> Memory:
    found = [worker.memory_full_info() for worker in process.children(recursive=True)]
    return max(Memory(worker.rss, worker.pss, worker.uss) for worker in found)


def count_workers(process: psutil.Process) -> int:
    return len([child for child in process.children(recursive=True) if not child.children()])
