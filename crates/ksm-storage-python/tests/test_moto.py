"""A third-party emulator, with boto3 and Keeper's class beside ours."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SECRET, _set
from keeper_secrets_manager_core.configkeys import ConfigKeys

from ksm_storage import StorageError
from ksm_storage.aws import AwsConfigProvider, AwsSecretStorage


@pytest.fixture
def moto(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    _set(monkeypatch, environment)
    script = Path(__file__).parents[3] / "xtask" / "python" / "server.py"
    server = subprocess.Popen(
        [sys.executable, script, "moto", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.1)
    import boto3

    yield boto3.client("secretsmanager")
    server.kill()
    server.wait(20)
    server.stdin.close()


def test_moto_holds_a_configuration(moto):
    from keeper_secrets_manager_storage.storage_aws_secret import AwsSecretStorage as TheirStorage

    with pytest.raises(StorageError) as caught:
        AwsSecretStorage.from_default_config(SECRET)
    assert caught.value.kind == "not_found"
    arn = moto.create_secret(Name=SECRET, SecretString="{}")["ARN"]
    storage = AwsSecretStorage.from_default_config(SECRET)
    assert storage.set(ConfigKeys.KEY_HOSTNAME, "h") == {"hostname": "h"}
    assert storage.update(lambda config: {**config, "count": 1}) == {"hostname": "h", "count": 1}
    assert TheirStorage(arn).read_storage() == {"hostname": "h", "count": 1}
    assert json.loads(AwsConfigProvider(arn).read_config()) == {"hostname": "h", "count": 1}
    moto.put_secret_value(SecretId=SECRET, SecretString='{"url": "u"}')
    assert storage.set(ConfigKeys.KEY_HOSTNAME, "i") == {"url": "u", "hostname": "i"}
    assert storage.delete_all() == {}
    assert moto.get_secret_value(SecretId=SECRET)["SecretString"].strip() == "{}"
