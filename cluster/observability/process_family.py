"""The `process_*` metrics of a parent and its child processes together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import psutil
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class ProcessFamilyCollector(Collector):
    """Collects the same metrics as prometheus_client's ProcessCollector, as sums. On Linux; elsewhere none, as there.

    Args:
        parent: its process id.
    """

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def collect(self) -> Iterable[Metric]:
        if not Path(f"/proc/{self._parent}/stat").exists():
            return
        parent = psutil.Process(self._parent)
        virtual = resident = files = 0
        cpu = parent.cpu_times()
        # What children have used that ended is the parent's, so that the sum never falls.
        seconds = cpu.user + cpu.system + cpu.children_user + cpu.children_system
        for process in (parent, *parent.children()):
            try:
                memory, used = process.memory_info(), process.cpu_times()
                files += process.num_fds()
            except psutil.NoSuchProcess:
                continue
            virtual, resident = virtual + memory.vms, resident + memory.rss
            seconds += 0.0 if process is parent else used.user + used.system
        yield GaugeMetricFamily("process_virtual_memory_bytes", "Virtual memory size in bytes.", virtual)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory size in bytes.", resident)
        yield GaugeMetricFamily(
            "process_start_time_seconds", "Start time of the process since unix epoch in seconds.", parent.create_time()
        )
        yield CounterMetricFamily("process_cpu_seconds", "Total user and system CPU time spent in seconds.", seconds)
        yield GaugeMetricFamily("process_open_fds", "Number of open file descriptors.", files)


def parent_of_family(name: str) -> int | None:
    """The process id of the parent, if the process that counts under this name is one of an api node's several."""
    if not name.startswith("api-"):
        return None
    return os.getpid() if name == "api-parent" else os.getppid()
