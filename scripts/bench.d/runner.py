"""One run of one bench on one allocator."""
import os
import shutil
import signal
import subprocess
import tempfile

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC",
               "PYTHONDONTWRITEBYTECODE": "1"}
TICKS = os.sysconf("SC_CLK_TCK")
LIMIT_SECONDS = 120
KEPT_LINES = 15


class RunFailed(Exception):
    pass


def busy_seconds():
    """Processor time that anything on this machine has used, and what the host took from it."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    user, nice, system, _, _, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq) / TICKS, steal / TICKS


def read_report(path):
    """Key -> value. What several parts of a bench report adds up, but for the peak."""
    values = {}
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            for line in file:
                key, value = line.split()
                values[key] = max(values.get(key, 0), float(value)) if key == "peak_kib" else values.get(key, 0) + float(value)
    return values


def figures_of(usage, report):
    """A bench that measures its work itself knows better than who started it; the peak only the kernel knows."""
    wall, peak, user, system, faults = (float(word) for word in usage.split())
    figures = {"seconds": wall, "peak_kib": peak, "user": user, "system": system, "minor_faults": faults}
    figures.update(report)
    figures["cpu"] = report.get("cpu", figures["user"] + figures["system"])
    return figures


class Runner:
    def __init__(self, build, length, cache):
        self.build, self.length, self.cache = build, length, cache
        self.measure = os.path.join(build, "bench/measure")
        self.scratch = tempfile.mkdtemp(prefix="hmalloc-bench-")
        self.process = None

    def close(self):
        self._stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def run(self, bench, contender, settle_ms=0):
        """Its figures; RunFailed with what it said if it fails."""
        work = os.path.join(self.scratch, "work")
        usage, report = os.path.join(self.scratch, "usage"), os.path.join(self.scratch, "report")
        shutil.rmtree(work, ignore_errors=True)
        os.mkdir(work)
        for stale in (usage, report):
            if os.path.exists(stale):
                os.remove(stale)
        environment = dict(ENVIRONMENT, HOME=work, TMPDIR=work, HM_LIBRARY=contender.library, HM_MEASURE=self.measure,
                           HM_BENCH_REPORT=report, HM_BENCH_CACHE=self.cache)
        if settle_ms and "after" in bench.metrics:
            environment["HM_BENCH_SETTLE_MS"] = str(settle_ms)
        busy, steal = busy_seconds()
        self._execute(self._command(bench, contender, usage), work, environment)
        now_busy, now_steal = busy_seconds()
        with open(usage, encoding="ascii") as file:
            text = file.read()
        wall, _, user, system, _ = (float(word) for word in text.split())
        figures = figures_of(text, read_report(report))
        figures["others"] = max(now_busy - busy - user - system, 0) / wall
        figures["stolen"] = (now_steal - steal) / wall
        return figures

    def _command(self, bench, contender, usage):
        """Scripts preload the library themselves, into the program that they are about."""
        preload = ["--preload", contender.library] if contender.library and bench.group != "programs" else []
        return [self.measure, *preload, usage, *bench.arguments(self.build, self.length)]

    def _execute(self, command, work, environment):
        with open(os.path.join(self.scratch, "output"), "w+b") as output:
            self.process = subprocess.Popen(command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, start_new_session=True)
            try:
                status = self.process.wait(LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                self._stop()
            output.seek(0)
            said = "\n".join(output.read().decode(errors="replace").splitlines()[-KEPT_LINES:])
        if status is None:
            raise RunFailed(f"killed after {LIMIT_SECONDS} s\n{said}")
        if status:
            raise RunFailed(f"exit status {status}\n{said}")

    def _stop(self):
        """Ends whatever is left of a run, servers too."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None
