"""What the programs share that measure a server: starting it on the allocator under test, and its own time and memory, not
its client's. lib.sh says what the environment holds."""
import glob
import os
import re
import subprocess
import sys
import time

SETTLE_STEPS = 10


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def libc():
    return re.search(r"\S*/libc\.so\.6$", read("/proc/self/maps"), re.M)[0]


def report(**values):
    with open(os.environ["HM_BENCH_REPORT"], "a", encoding="utf-8") as file:
        file.writelines(f"{key} {value:.6f}\n" for key, value in values.items())


class Server:
    """A server process that listens on a Unix socket in the current folder."""

    def __init__(self, *command, links_allocator=False):
        """links_allocator: it brings an allocator of its own, so glibc's must be put before that one."""
        library = os.environ.get("HM_LIBRARY") or (libc() if links_allocator else "")
        environment = dict(os.environ, LD_PRELOAD=library) if library else dict(os.environ)
        with open("server.log", "wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def wait_until(self, ready):
        for _ in range(1000):
            try:
                return ready()
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.01)
        sys.exit(f"the server didn't start:\n{read('server.log')}")

    def memory(self, key):
        """VmRSS or VmHWM, in KiB."""
        return int(re.search(rf"^{key}:\s+(\d+)", read(f"/proc/{self.process.pid}/status"), re.M)[1])

    def usage(self):
        """Processor time of all threads, from the scheduler in nanoseconds; /proc/PID/stat has it in ticks only."""
        process = f"/proc/{self.process.pid}"
        nanoseconds = sum(int(read(path).split()[0]) for path in glob.glob(f"{process}/task/*/schedstat"))
        return {"cpu": nanoseconds / 1e9, "minor_faults": int(read(f"{process}/stat").rsplit(")", 1)[1].split()[7])}

    def measure(self, work):
        """Reports what the server uses while work() runs. The start-up isn't in it."""
        before, start = self.usage(), time.monotonic()
        work()
        seconds, after = time.monotonic() - start, self.usage()
        report(seconds=seconds, peak_kib=self.memory("VmHWM"), **{key: after[key] - before[key] for key in after})

    def settle(self, rss_start, a_little):
        """Waits, doing a_little in between, and reports the memory then, as support/bench.h describes."""
        pause = float(os.environ.get("HM_BENCH_SETTLE_MS") or 0) / 1000 / SETTLE_STEPS
        for _ in range(SETTLE_STEPS if pause else 0):
            time.sleep(pause)
            a_little()
        report(rss_start_kib=rss_start, rss_after_kib=self.memory("VmRSS"))
