"""Keeper's real SDK on the storages of this package."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import SECRET, TARGET
from keeper_secrets_manager_core import SecretsManager
from keeper_secrets_manager_core.configkeys import ConfigKeys
from keeper_secrets_manager_core.exceptions import KeeperError
from keeper_secrets_manager_core.storage import InMemoryKeyValueStorage
from requests.exceptions import InvalidURL

import ksm_storage
from ksm_storage import StorageError, connect
from ksm_storage._token import Token, parse
from ksm_storage.aws import AwsSecretStorage


#: A well-formed token, which Keeper does not know.
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


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


def test_connect_binds_with_a_stored_token(keeper):
    """As another SDK or a person has stored it."""
    arguments = keeper.arguments
    keeper.store({"hostname": arguments.pop("hostname"), "clientKey": keeper.token().split(":")[-1]})
    assert titles(connect(AwsSecretStorage(SECRET), **arguments))
    assert "clientKey" not in keeper.stored()


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


def test_errors_name_remedies_that_work(keeper, monkeypatch, caplog):
    monkeypatch.setattr("ksm_storage._connect._WAITS", (0.0,))
    storage, token = AwsSecretStorage(SECRET), keeper.token()
    for given, kind in ((KEY, "token_spent"), (None, "token_spent"), (token, "token_mismatch")):
        with pytest.raises(StorageError, match=r"storage\.delete_all\(\)") as caught:
            connect(storage, token=given, **keeper.arguments)
        assert caught.value.kind == kind and "omit" not in str(caught.value)
        if kind == "token_spent":
            assert "access_denied" in str(caught.value.__cause__)
    assert caplog.records == []
    storage.delete_all()
    first = titles(connect(storage, token=token, **keeper.arguments))
    with pytest.raises(StorageError, match="omit the token") as caught:
        connect(storage, token=keeper.token(), **keeper.arguments)
    assert caught.value.kind == "token_mismatch"
    assert titles(connect(storage, **keeper.arguments)) == first


POINT = "BK9w6TZFxE6nFNbMfIpULCup2a8xc6w2tUTABjxny7yFmxW0dAEojwC6j6zb5nTlmb1dAx8nwo3qF7RPYGmloRM"


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (":", "a region"),
        ("US:", "43 characters"),
        ("US:!!!!", "not URL-safe base64"),
        ("US:ONE_TIME_TOKEN", "43 characters"),
        ("US:KEY:1", "expected KEY"),
        ("KEY:US", "a region"),
        ("a:b:c:d", "expected KEY"),
        ("KEY=", "no padding"),
        ("KEYA", "43 characters"),
        ("KEY KEY", "white space"),
        ("US: KEY", "white space"),
        ("KEY\0", "control character"),
        ("\ufeffKEY", "not URL-safe base64"),
        ("ÄKEY", "not URL-safe base64"),
        ("XX:KEY", "a region"),
        ("https://keepersecurity.com:KEY", "expected KEY"),
        ("keepersecurity.com/:KEY", "a region"),
        ("user@keepersecurity.com:KEY", "a region"),
        ("büro.example:KEY", "a region"),
        ("1.2.3.400:KEY", "a region"),
        ("IL5:KEY::POINT", "the ID of its server key"),
        ("IL5:KEY:901:", "P-256"),
        ("IL5:KEY:901:AAAA", "P-256"),
        ("IL5:KEY:901:POINT=", "P-256"),
        ("IL5:KEY:901:POINT:x", "expected KEY"),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9", "the last character"),
        ("A" * (1 << 20), "43 characters"),
    ],
)
@pytest.mark.parametrize("source", ["argument", "variable", "document"])
def test_malformed_tokens_are_never_sent(keeper, monkeypatch, form, reason, source):
    text = form.replace("KEY", KEY).replace("POINT", POINT)
    storage, given = AwsSecretStorage(SECRET), {}
    if source == "argument":
        given = {"token": text}
    elif source == "document":
        storage.set(ConfigKeys.KEY_CLIENT_KEY, text[:2000])
    elif "\0" in text or len(text) > 10_000:
        return
    else:
        monkeypatch.setenv("KSM_TOKEN", text)
    keeper.calls()
    with pytest.raises(StorageError, match=reason) as caught:
        connect(storage, **given, **keeper.arguments)
    assert caught.value.kind == ("invalid_config" if source == "document" else "invalid_token")
    assert KEY[:20] not in str(caught.value) and caught.value.__cause__ is None
    assert keeper.calls()[1] == 0 and keeper.keeper_requests() == []


def test_tokens_have_the_forms_of_the_bridge():
    for form, host in (
        ("KEY", None),
        (" KEY\r\n", None),
        ("US:KEY", "keepersecurity.com"),
        ("eu:KEY", "keepersecurity.eu"),
        ("us_gov:KEY", "govcloud.keepersecurity.us"),
        ("keeper.example:KEY", "keeper.example"),
        ("10.1.2.3:KEY", "10.1.2.3"),
        ("localhost:KEY", "localhost"),
    ):
        token = parse(form.replace("KEY", KEY))
        assert token == Token(f"{host}:{KEY}" if host else KEY, KEY)
    il5 = f"il5:{KEY}:901:{POINT}"
    assert parse(il5) == Token(il5, KEY)
    stored = InMemoryKeyValueStorage()
    SecretsManager(config=stored, token=f"US:{KEY}")
    assert parse(KEY).client_id == stored.get(ConfigKeys.KEY_CLIENT_ID)


def test_missing_token_is_an_error(keeper):
    with pytest.raises(StorageError, match="pass token=, or set KSM_TOKEN") as caught:
        connect(AwsSecretStorage(SECRET))
    assert caught.value.kind == "unbound" and keeper.calls()[1] == 0
    with pytest.raises(TypeError, match="config"):
        connect(AwsSecretStorage(SECRET), config=None)


def test_wrong_types_are_named(keeper):
    for storage in ("x", None, InMemoryKeyValueStorage()):
        with pytest.raises(TypeError, match=f"storage must be a Storage.*, not {type(storage).__name__}"):
            connect(storage)
    for token in (5, b"US:x", ["x"]):
        with pytest.raises(TypeError, match=f"token must be a str, not {type(token).__name__}"):
            connect(AwsSecretStorage(SECRET), token=token)


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


def test_page_on_testing_runs(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "testing.md").read_text()
    (code,) = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    (tmp_path / "test_page.py").write_text(code)
    environment = {"PATH": f"{TARGET / 'debug'}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_page.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f" {code.count('def test_')} passed" in ended.stdout and "def test_" in code


def test_hostname_of_the_emulator_needs_no_path(keeper):
    """As docs/testing.md says about other languages."""
    hostname = keeper.report["environment"]["KSM_HOSTNAME"]
    assert hostname == keeper.arguments["hostname"] + "/http"
    with pytest.raises(InvalidURL):
        connect(AwsSecretStorage(SECRET), token=keeper.token(), **{**keeper.arguments, "hostname": hostname})
