"""Builds the wheel, installs it with third-party packages, and tests it: `cargo xtask python`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent
#: Compiles for old system libraries: 100 MB that only a release needs.
ZIG = "ziglang==0.17.1"
#: The target folder: this interpreter belongs to a virtual environment below it.
TARGET = Path(sys.prefix).parent


def run(*command: object, **more: object) -> None:
    print("$", *command, flush=True)
    ended = subprocess.run([str(word) for word in command], check=False, **more)
    if ended.returncode:
        sys.exit(f"failed: {command[0]}: {ended.returncode}")


def build(full: bool) -> Path:
    """Builds the wheel, as a release or a debug build."""
    folder = TARGET / "wheels" / ("release" if full else "debug")
    for old in folder.glob("*"):
        old.unlink()
    maturin = [sys.executable, "-m", "maturin"]
    manifest = ["--manifest-path", PACKAGE / "Cargo.toml", "--out", folder]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if full:
        run(*maturin, "sdist", *manifest, env=environment)
        run(*maturin, "build", "--locked", "--zig", "--compatibility", "manylinux2014", *manifest, env=environment)
    else:
        run(*maturin, "build", "--locked", "--profile", "dev", "--compatibility", "linux", *manifest, env=environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="build the release wheel and the sdist, and run slow tests")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest")
    options = parser.parse_args()
    # With the features of `cargo xtask test`, so that nothing is compiled for this alone.
    emulator = ["test", "--locked", "--workspace", "--all-features", "--no-run", "--test", "program"]
    run(os.environ.get("CARGO", "cargo"), *emulator, cwd=PACKAGE)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    if options.full:
        run(*pip, ZIG)
    wheel = build(options.full)
    run(*pip, "--force-reinstall", wheel)
    environment = {**os.environ, "KSM_TARGET": str(TARGET), "KSM_WHEEL": str(wheel)}
    # Outside the source folder, so that the installed package is tested.
    tests = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"]
    chosen = [] if options.full else ["-m", "not slow"]
    run(*tests, *chosen, *(options.pytest or [PACKAGE / "tests"]), cwd=PACKAGE / "tests", env=environment)


main()
