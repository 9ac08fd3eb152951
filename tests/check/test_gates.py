#!/usr/bin/python3
"""Each gate of scripts/check fails when its rule is broken: a violation is planted in a copy of the tree, and the gate
must name it. Usage: test_gates.py TREE"""
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile

from support.tap import check, run_tests

PARTS = ["src", "include", "preload", "tests", "bench", "examples", "scripts", "README.md", ".clang-format", ".clang-tidy"]


@contextlib.contextmanager
def copy_of(tree):
    with tempfile.TemporaryDirectory(prefix="hmalloc-gates-") as folder:
        for part in PARTS:
            source, target = os.path.join(tree, part), os.path.join(folder, part)
            (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, target)
        yield folder


def write(folder, path, text):
    os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
    with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
        file.write(text)


def replace(folder, path, old, new):
    with open(os.path.join(folder, path), encoding="utf-8") as file:
        text = file.read()
    check(old in text, f"{path} does not contain {old!r}: plant the violation elsewhere")
    write(folder, path, text.replace(old, new, 1))


def run_gate(folder, gate):
    command = os.path.join(folder, "scripts/check.d", gate)
    return subprocess.run([command, folder], capture_output=True, text=True, check=False)


def check_caught(folder, gate, complaint):
    result = run_gate(folder, gate)
    check(result.returncode == 1, f"status {result.returncode}: {result.stderr}")
    check(complaint in result.stdout, f"{complaint!r} is not in:\n{result.stdout}{result.stderr}")


def plant_file(tree, gate, path, text, complaint):
    with copy_of(tree) as folder:
        check(complaint not in run_gate(folder, gate).stdout, "the gate complains before anything is planted")
        write(folder, path, text)
        check_caught(folder, gate, complaint)


def plant_text(tree, gate, path, old, new, complaint):
    with copy_of(tree) as folder:
        check(complaint not in run_gate(folder, gate).stdout, "the gate complains before anything is planted")
        replace(folder, path, old, new)
        check_caught(folder, gate, complaint)


def test_format_in_each_folder(tree):
    paths = [f"{folder}/planted.h" for folder in ("src/base", "include/hmalloc", "preload", "tests/unit/base", "bench", "examples")]
    paths += ["include/hmalloc/planted.hpp", "tests/cpp/planted.cpp"]
    with copy_of(tree) as folder:
        for path in paths:
            write(folder, path, "int  planted ;\n")
        write(folder, "src/base/good.h", "int planted;\n")
        result = run_gate(folder, "format")
        check(result.returncode == 1, f"status {result.returncode}: {result.stderr}")
        check(all(f"{path}: not formatted" in result.stdout for path in paths), result.stdout)
        check("good.h" not in result.stdout, "complains about a file in order")


def test_tidy(tree):
    planted = "int planted(int n);\nint planted(int n)\n{\n    int unset;\n    return n > 0 ? unset : 0;\n}\n"
    with copy_of(tree) as folder:
        for part in ("src", "preload"):  # whose files take long, and are of no interest here
            shutil.rmtree(os.path.join(folder, part))
        write(folder, "preload/good.c", "int planted(int n);\nint planted(int n)\n{\n    return n;\n}\n")
        write(folder, "src/base/good.c", "int good;\n")
        check(run_gate(folder, "tidy").returncode == 0, "complains about files in order")
        write(folder, "src/base/planted.c", planted)
        result = run_gate(folder, "tidy")
        check(result.returncode != 0 and "planted.c:5" in result.stdout, result.stdout + result.stderr)


def test_layers_upward(tree):
    plant_file(tree, "layers", "src/os/planted.h", '#include "page/span.h"\n', '"page/span.h" goes up')
    plant_file(tree, "layers", "src/harden/planted.h", '#include "page/span.h"\n', '"page/span.h" goes up')
    plant_file(tree, "layers", "src/base/planted.c", '# include "os/os.h"\n', '"os/os.h" goes up')


def test_layers_not_from_src(tree):
    plant_file(tree, "layers", "src/page/planted.c", '#include "span.h"\n', '"span.h" is not written from src/')
    plant_file(tree, "layers", "src/page/planted.c", '#include "../os/os.h"\n', '"../os/os.h" is not written from src/')


def test_layers_unknown(tree):
    plant_file(tree, "layers", "src/misc/planted.h", "\n", "misc is not a layer")
    plant_file(tree, "layers", "src/page/planted.h", '#include "os/nothing.h"\n', '"os/nothing.h" does not exist')


def test_layers_circle(tree):
    plant_text(tree, "layers", "src/base/attr.h", "#include <stdbool.h>", '#include "base/bits.h"',
               "circle: base/attr.h -> base/bits.h -> base/attr.h")


def test_symbols_listed_but_missing(tree):
    for path in ("src/libhmalloc.map", "preload/preload.map"):
        plant_text(tree, "symbols", path, "hmalloc;", "hmalloc; planted;", "planted is in the list but not in the library")


def test_symbols_exported_but_unlisted(tree):
    """The list that the gate reads is not the one that the libraries were linked with."""
    plant_text(tree, "symbols", "src/libhmalloc.map", "        hmalloc;\n", "",
               "libhmalloc.so: hmalloc is in the library but not in the list")
    plant_text(tree, "symbols", "preload/preload.map", "        malloc;\n", "",
               "libhmalloc-preload.so: malloc is in the library but not in the list")


def test_symbols_declared_but_unlisted(tree):
    plant_file(tree, "symbols", "include/hmalloc/planted.h", "void *hplanted(int n);\n",
               "hplanted is in include/hmalloc but not in the list")


def test_symbols_public_but_not_preloaded(tree):
    plant_text(tree, "symbols", "preload/preload.map", "        hmalloc;\n", "", "hmalloc is public but not in the list")


def run_imports(folder, source, *link_args):
    """The complaints of the gate about a library made of this source, which stands in for both."""
    build = os.path.join(folder, "build")
    library = os.path.join(build, "src", "libhmalloc.so")
    write(build, "planted.c", source)
    os.makedirs(os.path.join(build, "preload"), exist_ok=True)
    os.makedirs(os.path.dirname(library), exist_ok=True)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, f"{build}/planted.c", *link_args], check=True)
    shutil.copy(library, os.path.join(build, "preload", "libhmalloc-preload.so"))
    command = [os.path.join(folder, "scripts/check.d/imports"), folder]
    result = subprocess.run(command, env={**os.environ, "HM_BUILD": build}, capture_output=True, text=True, check=False)
    check(result.returncode == (1 if result.stdout else 0), f"status {result.returncode}: {result.stderr}")
    return result.stdout


def test_imports(tree):
    with copy_of(tree) as folder:
        good = '#include <unistd.h>\n_Thread_local char state[64] = "x";\nint planted(void) { return getpid(); }\n'
        check(run_imports(folder, good) == "", "complains about a library in order")
        output = run_imports(folder, "#include <stdio.h>\nvoid planted(void) { puts(\"\"); }\n")
        check("libhmalloc.so imports puts," in output and "libhmalloc-preload.so imports puts," in output, output)
        output = run_imports(folder, "_Thread_local char state[65];\n")
        check("libhmalloc-preload.so has 65 bytes" in output, output)
        output = run_imports(folder, "int planted;\n", "-Wl,--no-as-needed", "-lm")
        check("libhmalloc.so needs libm.so.6" in output, output)


def test_mirror_module_without_test(tree):
    plant_file(tree, "mirror", "src/base/planted.c", "\n", "src/base/planted.c has no tests/unit/base/test_planted.c")


def test_mirror_test_without_module(tree):
    plant_file(tree, "mirror", "tests/unit/base/test_planted.c", "\n", "tests base/planted, which is not in src/")


def test_mirror_needless_exception(tree):
    for module in ("base/text", "base/planted"):
        plant_file(tree, "mirror", "scripts/check.d/mirror.exceptions", f"{module} no reason\n",
                   f"{module} needs no exception")


def test_mirror_unlisted_file(tree):
    plant_file(tree, "mirror", "src/base/planted.c", "\n", "core_sources lacks base/planted.c")
    plant_file(tree, "mirror", "preload/planted.c", "\n", "preload_sources lacks planted.c")
    plant_file(tree, "mirror", "tests/unit/base/test_planted.c", "\n", "unit_tests lacks base/test_planted.c")
    plant_file(tree, "mirror", "tests/model/test_planted.c", "\n", "model_tests lacks test_planted.c")
    plant_file(tree, "mirror", "tests/thread/test_planted.c", "\n", "thread_tests lacks test_planted.c")
    plant_file(tree, "mirror", "tests/fatal/planted.c", "\n", "fatal_programs lacks planted.c")


def test_mirror_listed_but_missing(tree):
    plant_text(tree, "mirror", "src/meson.build", "'base/text.c'", "'base/planted.c', 'base/text.c'",
               "core_sources names base/planted.c")


def test_packages_without_reason(tree):
    plant_text(tree, "packages", "scripts/packages", "build gcc\n", "build gcc\nbuild planted\n", "lacks planted")
    plant_text(tree, "packages", "bench/packages", "libjemalloc2 ", "planted\nlibjemalloc2 ", "no reason for planted")


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__], os.path.realpath(sys.argv[1])))
