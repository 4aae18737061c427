"""Packs the program and the wrapper as a layer: `cargo xtask layer` runs `package.py PROGRAM ZIP`."""

import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

program, archive = map(Path, sys.argv[1:])
archive.parent.mkdir(parents=True, exist_ok=True)
with ZipFile(archive, "w", ZIP_DEFLATED) as layer:
    layer.write(program, "bin/ksm-storage")
    layer.write(Path(__file__).with_name("ksm-storage-wrapper"), "ksm-storage-wrapper")
print(f"{archive}: {archive.stat().st_size / 2**20:.1f} MiB, unpacked {program.stat().st_size / 2**20:.1f} MiB")
