"""The package as it is installed."""

import ast
import os
import pickle
import re
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from conftest import CONFIG, INHERITED, TARGET

import ksm_storage
from ksm_storage import StorageError

SETTINGS = str(Path(__file__).parents[1] / "pyproject.toml")
WHEEL = Path(os.environ["KSM_WHEEL"])
# Before a test has a home folder of its own.
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")


def test_package_is_installed_from_the_wheel():
    assert Path(sys.prefix) in Path(ksm_storage.__file__).parents
    assert "cp39-abi3" in WHEEL.name


def imported(node):
    """The packages that a module imports, except for type checkers, which know `typing_extensions` themselves."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    if isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module.partition(".")[0]
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


def test_imports_are_declared():
    """A package that only a dependency requires may disappear with its next version."""
    declared = {re.match("[A-Za-z0-9._-]+", text)[0] for text in requires("ksm-storage") if "extra ==" not in text}
    modules = list(Path(ksm_storage.__file__).parent.glob("*.py"))
    names = {name for module in modules for name in imported(ast.parse(module.read_text()))}
    needed = names - sys.stdlib_module_names
    assert len(modules) > 5 and {"cryptography", "keeper_secrets_manager_core"} <= needed
    assert {packages_distributions()[name][0] for name in needed} == declared


def test_errors_survive_pickling():
    error = StorageError("message", "displaced", "applied", True, "v7")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.args, vars(copy)) == (("message",), vars(error))


def check(*arguments):
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    ended = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, env=environment, cwd=TARGET)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_types_are_complete(tmp_path):
    check("mypy", "--config-file", SETTINGS, "--cache-dir", str(tmp_path), "--package", "ksm_storage")
    program = tmp_path / "program.py"
    program.write_text(
        """
from typing import Any
from ksm_storage import Storage, StorageError, connect, open
from ksm_storage.aws import AwsConfigProvider, AwsSecretStorage

storage: AwsSecretStorage = AwsSecretStorage.from_default_config("ksm-config")
AwsSecretStorage().from_profile_config("ksm-config", profile="ops")
changed: dict[str, Any] = storage.update(lambda config: {**config, "a": 1})
other: Storage = open("memory:")
text: str = AwsConfigProvider("ksm-config").read_config()
kind: str = StorageError("m").kind
AwsSecretStorage(None).from_custom_config(None, "AKIA", "k", region=None, fallback_to_default_profile=None)
AwsConfigProvider(None).from_profile_config(None, None)
AwsConfigProvider("ksm-config").region = None
region: str = AwsConfigProvider("ksm-config").region
connect(storage, token="t").get_secrets()
"""
    )
    check("mypy", "--strict", "--cache-dir", str(tmp_path), str(program))
    wrong = [
        "storage.config = {}",
        "open(None)",
        "Storage(None)",
        'AwsSecretStorage.from_default_config(b"k")',
        'AwsConfigProvider("k").from_custom_config("k", None, "k", "us-east-1")',
    ]
    program.write_text(program.read_text() + "".join(f"{line}  # type: ignore\n" for line in wrong))
    # An unused `ignore` is an error.
    check("mypy", "--strict", "--cache-dir", str(tmp_path), str(program))


def test_stubs_agree_with_the_module():
    check("mypy.stubtest", "ksm_storage", "--mypy-config-file", SETTINGS)


@pytest.mark.slow
def test_wheel_is_small():
    size = WHEEL.stat().st_size
    assert size <= 4 << 20, size
    assert "manylinux2014_x86_64" in WHEEL.name
    names = zipfile.ZipFile(WHEEL).namelist()
    assert {"ksm_storage/py.typed", "ksm_storage/_native.pyi", "ksm_storage/_native.abi3.so"} <= set(names)
    assert not [name for name in names if "test" in name]


PROGRAM = """
import sys
from keeper_secrets_manager_core.configkeys import ConfigKeys
from ksm_storage.aws import AwsSecretStorage
storage = AwsSecretStorage("ksm-config")
assert storage.update(lambda config: {**config, "url": "u"})["hostname"] == "keepersecurity.com"
assert AwsSecretStorage.from_default_config("ksm-config").get(ConfigKeys.KEY_URL) == "u"
assert "boto3" not in sys.modules
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13", "3.14"])
def test_other_interpreters_use_the_wheel(emulator, tmp_path, version):
    found = [
        Path(folder, name)
        for folder in os.environ["PATH"].split(os.pathsep)
        for name in (f"python{version}",)
        if Path(folder, name).exists()
    ]
    found += PYENV.glob(f"{version}.*/bin/python{version}")
    python = next((path for path in found if runs(path)), None)
    if python is None:
        pytest.skip(f"no Python {version} here: not checked")
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # One environment per version, because pip takes most of the time.
    folder = TARGET / f"python-{version}"
    if not (folder / "bin" / "python").exists():
        subprocess.run([python, "-m", "venv", folder], check=True, env=environment)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--force-reinstall", "--no-deps", WHEEL], check=True, env=environment)
    subprocess.run([*pip, WHEEL], check=True, env=environment)
    emulator.store(CONFIG)
    subprocess.run([folder / "bin" / "python", "-c", PROGRAM], check=True, cwd=tmp_path)


def runs(python):
    return subprocess.run([python, "--version"], capture_output=True).returncode == 0
