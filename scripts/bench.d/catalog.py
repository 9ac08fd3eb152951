"""What there is to run: bench/catalog, and the allocators to run it on."""
import fnmatch
import glob
import hashlib
import os
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GROUPS = ("micro", "workloads", "programs")

# Name -> Debian's package, where it puts the library.
PEERS = {
    "jemalloc": ("libjemalloc2", "/usr/lib/*/libjemalloc.so.2"),
    "mimalloc": ("libmimalloc2.0", "/usr/lib/*/libmimalloc.so.2"),
    "tcmalloc": ("libtcmalloc-minimal4", "/usr/lib/*/libtcmalloc_minimal.so.4"),
    "scudo": ("libclang-rt-14-dev", "/usr/lib/llvm-14/lib/clang/14*/lib/linux/libclang_rt.scudo_standalone-{machine}.so"),
}


class Bench:
    def __init__(self, line):
        self.group, self.name, metrics, full, quick, smoke, *self.command = line.split()
        self.metrics = metrics.split(",")
        self.amounts = {"full": full, "quick": quick, "smoke": smoke}

    def arguments(self, build, length):
        """The command line that runs it; build is the build that has the C programs."""
        folder = os.path.join(TOP, "bench/programs") if self.group == "programs" else os.path.join(build, "bench")
        program = self.command[0] if self.group == "programs" else "bench_" + self.command[0]
        return [os.path.join(folder, program), *self.command[1:], self.amounts[length]]


def read_catalog():
    with open(os.path.join(TOP, "bench/catalog"), encoding="utf-8") as file:
        return [Bench(line) for line in file if line.strip() and not line.startswith("#")]


def select(benches, patterns):
    """Those whose name or group one of the patterns (with *) matches. ValueError: a pattern that matches none."""
    if not patterns:
        return benches
    for pattern in patterns:
        if not any(fnmatch.fnmatch(word, pattern) for bench in benches for word in (bench.name, bench.group)):
            raise ValueError(f"no bench or group is called {pattern}: see bench/catalog")
    return [bench for bench in benches
            if any(fnmatch.fnmatch(word, pattern) for pattern in patterns for word in (bench.name, bench.group))]


class Contender:
    def __init__(self, name, library, package=""):
        self.name, self.package = name, package
        self.library = os.path.realpath(library) if library else ""
        if library and not os.path.exists(library):
            raise ValueError(f"{name}: there is no {library}")

    def describe(self):
        if not self.library:
            version = os.confstr("CS_GNU_LIBC_VERSION")
            return {"name": self.name, "version": version}
        with open(self.library, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        return {"name": self.name, "library": self.library, "sha256": digest, "version": package_version(self.package)}

    def check_loads(self, measure):
        """ValueError unless a program it is preloaded into has it mapped."""
        if not self.library:
            return
        result = subprocess.run([measure, "--preload", self.library, "/dev/null", "cat", "/proc/self/maps"],
                                capture_output=True, text=True, check=False)
        if self.library not in result.stdout:
            raise ValueError(f"{self.name}: {self.library} can't be preloaded\n{result.stderr}")


def package_version(package):
    if not package:
        return ""
    result = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", package], capture_output=True, text=True,
                            check=False)
    return result.stdout


def find_contender(word):
    """A peer's name, or the path of any library that replaces malloc."""
    if word in PEERS:
        package, pattern = PEERS[word]
        found = sorted(glob.glob(pattern.format(machine=os.uname().machine)))
        if not found:
            raise ValueError(f"{word}: package {package} is not installed, or has no library for this machine")
        return Contender(word, found[-1], package)
    if "/" in word:
        return Contender(os.path.basename(word).removesuffix(".so"), word)
    raise ValueError(f"{word}: neither the path of a library nor one of {', '.join(PEERS)}")
