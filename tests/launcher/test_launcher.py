#!/usr/bin/python3
"""hmalloc-run: what it hands to the program, and what it says when it can't.
Usage: test_launcher.py LAUNCHER LIBRARY LIBDIR (the last one as seen from the folder of the installed launcher)"""
import os
import shutil
import subprocess
import sys
import tempfile

from support.tap import check, run_tests

PRINT_ENV = ["sh", "-c", 'echo "$LD_PRELOAD|$HMALLOC_CONF"']


def launch(launcher, *args, **env):
    clean = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "HMALLOC_CONF")}
    return subprocess.run([launcher, *args], env={**clean, **env}, capture_output=True, text=True, check=False)


def handed(launcher, *options, **env):
    """(LD_PRELOAD, HMALLOC_CONF) as the program sees them."""
    result = launch(launcher, *options, *PRINT_ENV, **env)
    check(result.returncode == 0, result.stderr)
    return tuple(result.stdout.strip().split("|"))


def check_fails(result, status, text):
    check(result.returncode == status, f"status {result.returncode}, not {status}: {result.stderr}")
    check(result.stderr.startswith("hmalloc-run: ") and text in result.stderr, result.stderr)
    check(result.stderr.count("\n") == 1 and result.stdout == "", result.stderr + result.stdout)


def test_preloads_the_library(launcher, library, libdir):
    check(handed(launcher) == (library, ""), handed(launcher))


def test_hands_on_arguments(launcher, library, libdir):
    for separator in ([], ["--"]):
        result = launch(launcher, *separator, "printf", "%s,", "a b", "--stats", "", "--")
        check(result.stdout == "a b,--stats,,--,", result.stdout)


def test_exit_status_is_the_programs(launcher, library, libdir):
    check(launch(launcher, "sh", "-c", "exit 42").returncode == 42, "exit status")
    check(launch(launcher, "sh", "-c", "kill -TERM $$").returncode == -15, "signal")


def test_keeps_other_preloads(launcher, library, libdir):
    with tempfile.TemporaryDirectory() as folder:
        other = shutil.copy(library, os.path.join(folder, "other.so"))
        check(handed(launcher, LD_PRELOAD=other)[0] == f"{library}:{other}", "LD_PRELOAD")


def test_preloads_only_once(launcher, library, libdir):
    check(handed(launcher, LD_PRELOAD=library)[0] == library, "LD_PRELOAD")
    check(handed(launcher, launcher)[0] == library, "launcher under launcher")


def test_options_are_added(launcher, library, libdir):
    check(handed(launcher, "--conf", "a:1", "--stats", "--conf=b:2,c:3")[1] == "a:1,stats:1,b:2,c:3", "options")
    check(handed(launcher, "--stats", HMALLOC_CONF="a:1")[1] == "a:1,stats:1", "after HMALLOC_CONF")
    check(handed(launcher, HMALLOC_CONF="a:1")[1] == "a:1", "HMALLOC_CONF alone")


def test_statistics_of_a_program_that_never_allocates(launcher, library, libdir):
    result = launch(launcher, "--stats", "true")
    check(result.returncode == 0 and "statistics" in result.stderr, result.stderr)


def test_help(launcher, library, libdir):
    result = launch(launcher, "--help")
    check(result.returncode == 0 and result.stdout.startswith("Usage: hmalloc-run "), result.stdout)


def test_bad_usage(launcher, library, libdir):
    check_fails(launch(launcher), 125, "no program")
    check_fails(launch(launcher, "--"), 125, "no program")
    check_fails(launch(launcher, "--nonsense", "true"), 125, "--nonsense")
    check_fails(launch(launcher, "--conf"), 125, "--conf needs")


def test_program_cannot_run(launcher, library, libdir):
    check_fails(launch(launcher, "/nonexistent/program"), 127, "/nonexistent/program")
    check_fails(launch(launcher, "/"), 126, "cannot run /")


def install(folder, launcher, library, libdir):
    """The launcher and the library as `meson install` lays them out, below folder."""
    binaries = os.path.join(folder, "bin")
    libraries = os.path.normpath(os.path.join(binaries, libdir))
    os.makedirs(binaries)
    os.makedirs(libraries)
    return shutil.copy(launcher, binaries), shutil.copy(library, libraries)


def test_finds_the_installed_library(launcher, library, libdir):
    with tempfile.TemporaryDirectory() as folder:
        installed, installed_library = install(folder, launcher, library, libdir)
        check(handed(installed)[0] == installed_library, "LD_PRELOAD")
        link = os.path.join(folder, "link")
        os.symlink(installed, link)
        check(handed(link)[0] == installed_library, "through a link")


def test_library_is_missing(launcher, library, libdir):
    with tempfile.TemporaryDirectory() as folder:
        alone = shutil.copy(launcher, folder)
        check_fails(launch(alone, "true"), 125, "libhmalloc-preload.so is missing")


def test_path_that_ld_preload_cannot_name(launcher, library, libdir):
    with tempfile.TemporaryDirectory(suffix=" a:b") as folder:
        installed, _ = install(folder, launcher, library, libdir)
        check_fails(launch(installed, "true"), 125, "space or a colon")


if __name__ == "__main__":
    launcher_path, library_path = (os.path.realpath(path) for path in sys.argv[1:3])
    sys.exit(run_tests(sys.modules[__name__], launcher_path, library_path, sys.argv[3]))
