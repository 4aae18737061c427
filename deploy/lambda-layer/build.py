"""Builds the layer for each installed Rust target, linked to glibc 2.26: `cargo xtask layer`."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
#: This interpreter belongs to a virtual environment below the target folder.
TARGET = Path(sys.prefix).parent
BUILD = "zigbuild --locked --package ksm-storage-cli --release --target".split()


def pack(program: Path, archive: Path) -> None:
    archive.parent.mkdir(exist_ok=True)
    with ZipFile(archive, "w", ZIP_DEFLATED) as layer:
        layer.write(program, "bin/ksm-storage")
        layer.write(HERE / "ksm-storage-wrapper", "ksm-storage-wrapper")
    sizes = [path.stat().st_size / 2**20 for path in (archive, program)]
    print(f"{archive}: {sizes[0]:.1f} MiB, unpacked {sizes[1]:.1f} MiB")


def main() -> None:
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET), "CARGO_ZIGBUILD_PYTHON_PATH": sys.executable}
    for target in ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"):
        if not Path(sysroot.strip(), "lib", "rustlib", target).exists():
            print(f"not built: rustup target add {target}")
            continue
        command = [PROGRAMS / "cargo-zigbuild", *BUILD, f"{target}.2.26"]
        subprocess.run(command, check=True, cwd=HERE, env=environment)
        pack(TARGET / target / "release" / "ksm-storage", TARGET / "layer" / f"{target}.zip")


main()
