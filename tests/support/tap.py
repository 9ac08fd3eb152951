"""Tests written as functions of a module, reported as the other tests are: a TAP file, named by HM_TAP.

A test is a function `test_<name>(...)`; it fails by raising, and skips by raising Skip(reason)."""
import os
import sys
import traceback


class Skip(Exception):
    pass


def check(condition, text):
    """An assertion that no interpreter option switches off."""
    if not condition:
        raise AssertionError(text)


def run_tests(module, *args):
    """Runs every test of the module with these arguments, returns the exit status."""
    lines, failed = [], 0
    for name, test in vars(module).items():
        if not name.startswith("test_"):
            continue
        try:
            test(*args)
            lines.append(f"ok - {name}")
        except Skip as reason:
            lines.append(f"ok - {name} # SKIP {reason}")
        except Exception:  # whatever it was, this test failed and the next one runs
            traceback.print_exc()
            lines.append(f"not ok - {name}")
            failed += 1
        print(lines[-1], flush=True)
    if "HM_TAP" in os.environ:
        with open(os.environ["HM_TAP"], "w", encoding="utf-8") as file:
            file.write(f"1..{len(lines)}\n" + "\n".join(lines) + "\n")
    return 1 if failed or not lines else 0
