"""Measures Keeper's class and this package side by side, and writes `benches/python.md`.

usage: measure.py WHEEL, with the interpreter to measure. The emulator must have been built.
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
from typing import NamedTuple

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
#: An ARN, because Keeper's class cannot find the region: it queries the metadata service without a token.
OPEN = "AwsSecretStorage(__import__('os').environ['ARN'])"
RECORDS = f"from keeper_secrets_manager_core import SecretsManager\nassert len(SecretsManager(config={OPEN}).get_secrets()) >= 2"


def environments(wheel: str) -> dict[str, Path]:
    """Creates an interpreter for each class, with the packages that its users install."""
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
    """The size of the installed packages in bytes, without pip, setuptools and compiled Python."""
    (packages,) = (python.parents[1] / "lib").glob("python*/site-packages")
    files = [file for file in packages.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    skipped = ("pip", "setuptools", "_distutils_hack", "pkg_resources")
    return sum(file.stat().st_size for file in files if not file.relative_to(packages).parts[0].startswith(skipped))


class Run(NamedTuple):
    """Milliseconds and MiB."""

    time: float
    cpu: float
    peak: float


def run(python: Path, program: str, environment: dict[str, str]) -> Run:
    start = time.perf_counter()
    process = subprocess.Popen([python, "-c", program], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - start
    assert status == 0, program
    return Run(elapsed * 1000, (usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss / 1024)


def side_by_side(pythons: dict[str, Path], programs: dict[str, str], environment: dict[str, str]) -> dict[str, Run]:
    """Returns medians of alternating runs, so that disturbances affect all alike."""
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(ROUNDS + 1):
        for name, program in programs.items():
            runs[name].append(run(pythons[name], program, environment))
    # The first round warms up caches.
    return {name: Run(*map(median, zip(*values[1:]))) for name, values in runs.items()}


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
        everyone = {"SDK": SDK, **IMPORTS}
        imports = side_by_side(pythons, everyone, environment)
        opened = side_by_side(pythons, {name: f"{line}\n{OPEN}" for name, line in IMPORTS.items()}, environment)
        records = side_by_side(pythons, {name: f"{line}\n{RECORDS}" for name, line in IMPORTS.items()}, environment)
        emulator.close()
    sizes = {name: (size(pythons[name]) - size(pythons["SDK"])) / 1e6 for name in IMPORTS}

    def row(what: str, unit: str, values: dict[str, float], digits: int = 0) -> str:
        theirs, ours = (values[name] for name in IMPORTS)
        return f"| {what} | {theirs:.{digits}f} {unit} | {ours:.{digits}f} {unit} | {theirs / ours:.1f} × |\n"

    def times(what: str, runs: dict[str, Run]) -> str:
        rows = [(what, {name: one.time for name, one in runs.items()})]
        rows.append(("… of which CPU", {name: one.cpu for name, one in runs.items()}))
        return "".join(row(label, "ms", values) for label, values in rows)

    page = f"""## The Python package

Keeper's `AwsSecretStorage` (`keeper-secrets-manager-storage` 1.1.0 with boto3) and that of `ksm-storage`, each in its own virtual
environment with the same Keeper SDK, on CPython {platform.python_version()}: medians of {ROUNDS} alternating runs. A process that only imports the SDK
takes {imports['SDK'].time:.0f} ms, {imports['SDK'].cpu:.0f} ms of them CPU and {imports['SDK'].peak:.0f} MiB; every row below includes that.

|  | Keeper's | `ksm-storage` | ratio |
|---|---|---|---|
"""
    page += times("start, import, exit", imports)
    page += times("start, storage open, exit", opened)
    page += times("start, two records with the unmodified SDK, exit", records)
    page += row("peak memory of the latter", "MiB", {name: one.peak for name, one in records.items()})
    page += row("installed beside the SDK", "MB", sizes, 1)
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        page += "\nThe machine was busy with other work meanwhile, so CPU time is the more reliable figure.\n"
    page += f"""
A bind from an empty secret, with its own server key, makes {binds["Keeper's"][0]} `GetSecretValue` and {binds["Keeper's"][1]} `PutSecretValue` calls with
Keeper's class. In the same code, ours makes {binds['ours'][0]} and {binds['ours'][1]}, because each safe write reads before and after; `connect` makes
{connected[0]} and {connected[1]}. The wheel is {Path(sys.argv[1]).stat().st_size / 1e6:.1f} MB.

Repeat it with `cargo xtask python --full` and `python crates/ksm-storage-python/measure.py WHEEL`.
"""
    (ROOT / "benches" / "python.md").write_text(page)
    print(page)


main()
