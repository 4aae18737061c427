"""The emulator program, and a separate environment for every test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest

TARGET = Path(os.environ["KSM_TARGET"])
SECRET = "ksm-config"
CONFIG = {"hostname": "keepersecurity.com", "serverPublicKeyId": 10, "appUid": ["unknown", 1.50], "clientId": "id"}
#: A value that must not appear in any output.
CANARY = "c4n4ry" * 7

INHERITED = ("PATH", "KSM_TARGET", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "PYTHONDONTWRITEBYTECODE")


class Emulator:
    """The services of one test, and the endpoint that controls them."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [TARGET / "debug" / "ksm-storage-emulator", "--json", *options]
        if "--keeper" in options:
            command += ["--ca-file", folder / "ca.pem"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.report = json.loads(self._process.stdout.readline())
        self.url = self.report["secrets_manager"]
        self.keeper = self.report["keeper"]
        self.environment = {
            "HOME": str(folder),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url,
            "AWS_DEFAULT_REGION": self.report["region"],
            "AWS_ACCESS_KEY_ID": "AKIAEMULATED00000000",
            "AWS_SECRET_ACCESS_KEY": "emulated",
        }
        # Tests write more often than the service allows in a day.
        self.control("PUT", "/version-quota", {"versions": None})
        if self.keeper:
            self.environment["REQUESTS_CA_BUNDLE"] = str(folder / "ca.pem")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def control(self, method: str, path: str, body: object = None) -> object:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.report["control"] + path, data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as reply:
            return json.loads(reply.read())

    @property
    def arn(self) -> str:
        return self.control("GET", f"/secrets/{SECRET}")["arn"]

    def stored(self, name: str = SECRET) -> dict:
        return json.loads(self.control("GET", f"/secrets/{quote(name, safe='')}")["value"])

    def store(self, config: object, name: str = SECRET) -> None:
        text = config if isinstance(config, str) else json.dumps(config)
        self.control("PUT", f"/secrets/{quote(name, safe='')}", {"value": text})

    def deny(self, action: str, code: str = "AccessDeniedException") -> None:
        self.control("POST", "/denials", {"action": action, "code": code})

    def allow(self) -> None:
        self.control("DELETE", "/denials")

    def fail(self, action: str, *faults: object) -> None:
        self.control("POST", "/faults", {"action": action, "faults": list(faults)})

    def calls(self) -> tuple[int, int]:
        """The numbers of reads and writes since the last call."""
        calls = self.control("GET", "/calls")
        self.control("DELETE", "/calls")
        return calls["GetSecretValue"], calls["PutSecretValue"]

    # Keeper

    @property
    def arguments(self) -> dict[str, str]:
        """Those of ``SecretsManager`` that lead to the fake Keeper."""
        return {
            "hostname": self.keeper["hostname"].split("/")[0],
            "server_public_key": self.keeper["server_public_key"],
            "server_public_key_id": self.keeper["server_public_key_id"],
        }

    def token(self) -> str:
        return self.control("POST", "/keeper/tokens", {})["token"]

    def keeper_faults(self, *faults: object) -> None:
        self.control("POST", "/keeper/faults", {"faults": list(faults)})

    def keeper_requests(self) -> list[dict]:
        return self.control("GET", "/keeper/requests")


def _set(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in list(os.environ):
        if name not in INHERITED and not name.startswith("PYTEST"):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    emulator = Emulator(tmp_path, "--secret", SECRET + "={}")
    _set(monkeypatch, emulator.environment)
    yield emulator
    emulator.close()


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    emulator = Emulator(tmp_path, "--secret", SECRET + "={}", "--keeper", "until-confirmed", "--tokens", "0")
    _set(monkeypatch, emulator.environment)
    yield emulator
    emulator.close()


@pytest.fixture
def run(tmp_path: Path):
    """Runs a program in a separate interpreter, in the environment of the test."""

    def run(program: str, *arguments: str, timeout: float | None = 60, fails: bool = False, **more: object):
        command = [sys.executable, "-c", program, *arguments]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=timeout, **more)
        assert (ended.returncode != 0) == fails, ended.stderr + ended.stdout
        return ended

    return run
