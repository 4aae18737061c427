"""Measures Keeper's class and this package side by side, and writes `benches/python.md`.

usage: measure.py WHEEL, with the interpreter that is to be measured. The emulator must have been built.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parents[1]
TARGET = ROOT / "target"
ROUNDS = 20

os.environ["KSM_TARGET"] = str(TARGET)
sys.path.insert(0, str(PACKAGE / "tests"))
IMPORTS = {
    "Keeper's": "from keeper_secrets_manager_storage.storage_aws_secret import AwsSecretStorage",
    "ours": "from ksm_storage.aws import AwsSecretStorage",
}
SDK = "import keeper_secrets_manager_core"
#: By its ARN, because Keeper's class finds no region otherwise: it asks the metadata service without a token.
OPEN = "AwsSecretStorage(__import__('os').environ['ARN'])"
RECORDS = f"from keeper_secrets_manager_core import SecretsManager\nassert len(SecretsManager(config={OPEN}).get_secrets()) >= 2"
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def environments(wheel: str) -> dict[str, Path]:
    """For each an interpreter with what its users install."""
    pinned = [line for line in (ROOT / "xtask/python/requirements.txt").read_text().splitlines() if "==" in line]
    constraints = TARGET / "measure-constraints.txt"
    constraints.write_text("\n".join(pinned))
    wanted = {"SDK": [], "Keeper's": ["keeper-secrets-manager-storage", "boto3"], "ours": [wheel]}
    found = {}
    for name, packages in wanted.items():
        folder = TARGET / f"measure-{name[:3]}"
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", constraints]
        subprocess.run([*pip, "keeper-secrets-manager-core", *packages], check=True)
        subprocess.run([folder / "bin/python", "-m", "compileall", "-q", folder / "lib"], check=False)
        found[name] = folder / "bin" / "python"
    return found


def size(python: Path) -> int:
    """Bytes of what is installed, without pip, setuptools and compiled Python."""
    (packages,) = (python.parents[1] / "lib").glob("python*/site-packages")
    files = [file for file in packages.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    skipped = ("pip", "setuptools", "_distutils_hack", "pkg_resources")
    return sum(file.stat().st_size for file in files if not file.relative_to(packages).parts[0].startswith(skipped))


def run(python: Path, program: str, environment: dict[str, str]) -> tuple[float, str]:
    start = time.perf_counter()
    ended = subprocess.run([python, "-c", program], env=environment, capture_output=True, text=True)
    elapsed = time.perf_counter() - start
    assert ended.returncode == 0, ended.stderr
    return elapsed, ended.stdout


def side_by_side(pythons: dict[str, Path], program: str, environment: dict[str, str]) -> dict[str, float]:
    """Medians in milliseconds; one after the other, so that a busy moment concerns both."""
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(ROUNDS + 1):
        for name in IMPORTS:
            times[name].append(run(pythons[name], program.replace("IMPORT", IMPORTS[name]), environment)[0])
    # The first round fills caches.
    return {name: median(values[1:]) * 1000 for name, values in times.items()}


def importing(pythons: dict[str, Path], environment: dict[str, str]) -> dict[str, float]:
    """Medians in milliseconds of the import alone, within the process."""
    programs = {"SDK": SDK, **IMPORTS}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(ROUNDS + 1):
        for name, line in programs.items():
            program = f"import time; start = time.perf_counter()\n{line}\nprint(time.perf_counter() - start)"
            times[name].append(float(run(pythons[name], program, environment)[1]))
    return {name: median(values[1:]) * 1000 for name, values in times.items()}


def binding(emulator, python: Path, program: str) -> tuple[int, int]:
    emulator.store("{}")
    emulator.calls()
    arguments = json.dumps({"token": emulator.token(), **emulator.arguments})
    run(python, f"import json\narguments = json.loads('''{arguments}''')\n{program}", emulator.environment)
    return emulator.calls()


def main() -> None:
    from conftest import Emulator

    pythons = environments(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator(Path(folder), "--secret", "ksm-config={}", "--keeper", "until-confirmed", "--tokens", "0")
        emulator.control("PUT", "/metadata", {"role": ["ASIA", "key", "token"]})
        environment = emulator.environment
        environment["ARN"] = emulator.arn
        plain = "IMPORT\nfrom keeper_secrets_manager_core import SecretsManager\n"
        plain += f"SecretsManager(config={OPEN}, **arguments).get_secrets()"
        binds = {name: binding(emulator, pythons[name], plain.replace("IMPORT", IMPORTS[name])) for name in IMPORTS}
        connect = f"{IMPORTS['ours']}\nfrom ksm_storage import connect\nconnect({OPEN}, **arguments)"
        connected = binding(emulator, pythons["ours"], connect)
        imports = importing(pythons, environment)
        opened = side_by_side(pythons, f"IMPORT\n{OPEN}", environment)
        records = side_by_side(pythons, f"IMPORT\n{RECORDS}", environment)
        peaks: dict[str, float] = {}
        for name, line in IMPORTS.items():
            shown = [int(run(pythons[name], f"{line}\n{RECORDS}\n{PEAK}", environment)[1]) for _ in range(5)]
            peaks[name] = median(shown) / 1024
        emulator.close()
    sizes = {name: (size(pythons[name]) - size(pythons["SDK"])) / 1e6 for name in IMPORTS}

    def row(what: str, unit: str, values: dict[str, float], digits: int = 0) -> str:
        theirs, ours = (f"{values[name]:.{digits}f} {unit}" for name in IMPORTS)
        return f"| {what} | {theirs} | {ours} | {values['Keeper' + chr(39) + 's'] / values['ours']:.1f} × |\n"

    page = f"""## The Python package

Keeper's `AwsSecretStorage` (`keeper-secrets-manager-storage` 1.1.0 with boto3) and that of `ksm-storage`, each in a virtual environment
of its own with the same Keeper SDK, on CPython {platform.python_version()}; in turn, medians of {ROUNDS}. Importing the SDK alone takes {imports['SDK']:.0f} ms,
which is a part of every line in milliseconds.

|  | Keeper's | `ksm-storage` | ratio |
|---|---|---|---|
"""
    page += row("import", "ms", imports)
    page += row("start, storage open, exit", "ms", opened)
    page += row("start, two records with the unmodified SDK, exit", "ms", records)
    page += row("peak memory of the latter, median of 5", "MiB", peaks)
    page += row("installed beside the SDK", "MB", sizes, 1)
    page += f"""
A bind from an empty secret, with a server key of its own, in calls of AWS: {binds["Keeper's"][0]} `GetSecretValue` and
{binds["Keeper's"][1]} `PutSecretValue` with Keeper's class; {binds['ours'][0]} and {binds['ours'][1]} with ours in the same code, as each safe write reads before
and after; {connected[0]} and {connected[1]} by `connect`. The wheel has {Path(sys.argv[1]).stat().st_size / 1e6:.1f} MB.

Repeat it with `cargo xtask python --full` and `python crates/ksm-storage-python/measure.py WHEEL`.
"""
    (ROOT / "benches" / "python.md").write_text(page)
    print(page)


main()
