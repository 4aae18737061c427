"""Keeper's real SDK on the storages of this package."""

import os
import threading
from pathlib import Path

import pytest
from conftest import SECRET, TARGET
from keeper_secrets_manager_core import SecretsManager
from keeper_secrets_manager_core.configkeys import ConfigKeys
from keeper_secrets_manager_core.exceptions import KeeperError

import ksm_storage
from ksm_storage import StorageError, connect
from ksm_storage.aws import AwsSecretStorage


def bound(keeper):
    """A storage with a bound client."""
    storage = AwsSecretStorage(SECRET)
    connect(storage, token=keeper.token(), **keeper.arguments)
    keeper.calls()
    return storage


def titles(manager):
    return sorted(record.title for record in manager.get_secrets())


def snippets():
    """The four snippets of the specification."""
    page = (Path(__file__).parent / "snippets.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    return blocks


@pytest.mark.parametrize("number", range(4))
def test_snippets_run_with_another_import(keeper, monkeypatch, run, number, tmp_path):
    bound(keeper)
    code = snippets()[number]
    line = "from keeper_secrets_manager_storage.storage_aws_secret import AwsSecretStorage"
    assert code.count(line) == 1
    code = code.replace(line, "from ksm_storage.aws import AwsSecretStorage")
    # The page abbreviates them, and its secret is in another region.
    code = code.replace("us-east-2", "us-east-1").replace("-aBcDeF", keeper.arn[-7:])
    code = code.replace("123456789012", keeper.arn.split(":")[4])
    if number == 0:
        keeper.control("PUT", "/metadata", {"role": ["ASIA", "key", "token"]})
        for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
    else:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[ksm-prod]\naws_access_key_id = AKIA\naws_secret_access_key = k\n")
    shown = run(code + "\nprint(len(all_records))").stdout
    assert int(shown) == len(SecretsManager(config=AwsSecretStorage.from_default_config(SECRET)).get_secrets()) > 1


def test_unchanged_code_binds_and_restarts(keeper):
    manager = SecretsManager(config=AwsSecretStorage(SECRET), token=keeper.token(), **keeper.arguments)
    first = titles(manager)
    stored = keeper.stored()
    assert {"appKey", "clientId", "privateKey"} <= set(stored) and "clientKey" not in stored
    keeper.calls()
    assert titles(SecretsManager(config=AwsSecretStorage(SECRET))) == first
    assert keeper.calls() == (1, 0)


def test_refused_put_of_unchanged_code_keeps_the_token(keeper):
    keeper.deny("PutSecretValue")
    token = keeper.token()
    with pytest.raises(StorageError):
        SecretsManager(config=AwsSecretStorage(SECRET), token=token, **keeper.arguments)
    assert keeper.keeper_requests() == []
    keeper.allow()
    assert titles(SecretsManager(config=AwsSecretStorage(SECRET), token=token, **keeper.arguments))


def test_connect_binds_with_two_writes(keeper):
    storage = AwsSecretStorage(SECRET)
    keeper.calls()
    token = keeper.token()
    manager = connect(storage, token=token, **keeper.arguments)
    gets, puts = keeper.calls()
    assert (gets <= 6, puts) == (True, 2)
    assert type(manager) is SecretsManager and manager.config is storage
    assert titles(manager)
    assert [request["with_public_key"] for request in keeper.keeper_requests()] == [True, False]
    keeper.calls()
    # After the bind, the token may stay configured.
    again = connect(AwsSecretStorage(SECRET), token=token, **keeper.arguments)
    assert titles(again) == titles(manager)
    assert keeper.calls() == (2, 0)
    with pytest.raises(ValueError, match="another token"):
        connect(storage, token=keeper.token(), **keeper.arguments)


def test_connect_resumes_after_a_lost_reply(keeper):
    storage, token = AwsSecretStorage(SECRET), keeper.token()
    keeper.keeper_faults("lose-reply")
    with pytest.raises(Exception):
        connect(storage, token=token, **keeper.arguments)
    pair = keeper.stored()
    assert "privateKey" in pair and "appKey" not in pair
    manager = connect(AwsSecretStorage(SECRET), token=token, **keeper.arguments)
    assert titles(manager)
    assert keeper.stored()["privateKey"] == pair["privateKey"]


def test_connect_resumes_without_the_token(keeper):
    """The token's key was stored with the key pair."""
    keeper.keeper_faults("lose-reply")
    with pytest.raises(Exception):
        connect(AwsSecretStorage(SECRET), token=keeper.token(), **keeper.arguments)
    assert titles(connect(AwsSecretStorage(SECRET)))


def test_refused_put_of_connect_keeps_the_token(keeper):
    storage, token = AwsSecretStorage(SECRET), keeper.token()
    keeper.deny("PutSecretValue")
    with pytest.raises(StorageError) as caught:
        connect(storage, token=token, **keeper.arguments)
    assert caught.value.kind == "access_denied"
    assert keeper.keeper_requests() == []
    keeper.allow()
    assert titles(connect(storage, token=token, **keeper.arguments))


def test_refused_second_put_is_resumed(keeper):
    """Keeper has bound the client, but its reply could not be stored."""
    storage, token = AwsSecretStorage(SECRET), keeper.token()
    keeper.fail("PutSecretValue", {"delay_ms": 0}, {"refuse": "AccessDeniedException"})
    with pytest.raises(StorageError):
        connect(storage, token=token, **keeper.arguments)
    assert titles(connect(storage, token=token, **keeper.arguments))


def test_spent_token_is_an_error(keeper, monkeypatch):
    monkeypatch.setattr("ksm_storage._connect._WAITS", (0.0,))
    token = keeper.token()
    connect(AwsSecretStorage(SECRET), token=token, **keeper.arguments)
    keeper.store("{}", "other")
    with pytest.raises((StorageError, KeeperError)) as caught:
        connect(AwsSecretStorage("other"), token=token, **keeper.arguments)
    assert token not in str(caught.value)


def test_missing_token_is_an_error(keeper):
    with pytest.raises(ValueError, match="One Time Token"):
        connect(AwsSecretStorage(SECRET))
    with pytest.raises(TypeError, match="config"):
        connect(AwsSecretStorage(SECRET), config=None)


def test_variable_has_the_token(keeper, monkeypatch):
    monkeypatch.setenv("KSM_TOKEN", keeper.token())
    with pytest.raises(ValueError, match="KSM_TOKEN"):
        connect(AwsSecretStorage(SECRET), token=keeper.token(), **keeper.arguments)
    assert titles(connect(AwsSecretStorage(SECRET), **keeper.arguments))


def test_clients_with_one_token_bind_once(keeper):
    token, found, errors = keeper.token(), [], []

    def client():
        try:
            found.append(titles(connect(AwsSecretStorage(SECRET), token=token, **keeper.arguments)))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(found) == 4 and found.count(found[0]) == 4


def test_key_rotation_needs_no_write(keeper, caplog):
    """The server asks for another key, twice; a read-only role cannot store its ID."""
    bound(keeper)
    keeper.deny("PutSecretValue")
    before, keys = keeper.stored(), []
    storage = AwsSecretStorage(SECRET)

    def post(*request):
        keys.append(storage.get(ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID))
        # The SDK would loop forever.
        assert len(keys) < 5
        return SecretsManager.post_function(*request)

    manager = SecretsManager(config=storage, custom_post_function=post)
    keeper.keeper_faults({"use_key": 7})
    assert titles(manager)
    assert keys == ["901", "7", "901"]
    assert keeper.stored() == before
    assert [record.getMessage()[:31] for record in caplog.records if record.name == "ksm.storage"] == [
        "the ID of Keeper's public key i"
    ]


def test_key_rotation_is_stored(keeper):
    bound(keeper)
    keeper.keeper_faults({"use_key": 7})
    assert titles(SecretsManager(config=AwsSecretStorage(SECRET)))
    # To the requested key, and back.
    assert keeper.calls()[1] == 2


def test_connect_works_on_any_storage(keeper, tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{}")
    path.chmod(0o600)
    assert titles(connect(ksm_storage.open(f"file:{path}"), token=keeper.token(), **keeper.arguments))
    assert titles(connect(ksm_storage.open(f"file:{path}")))


def test_page_on_testing_runs(run, tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "testing.md").read_text()
    (code,) = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    path = f"{TARGET / 'debug'}{os.pathsep}{os.environ['PATH']}"
    run(code, env={"PATH": path, "HOME": str(tmp_path)})
