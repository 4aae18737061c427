"""The names, signatures and behaviour of Keeper's classes."""

import inspect
import json
import logging
from traceback import TracebackException

import pytest
from conftest import CANARY, CONFIG, SECRET
from keeper_secrets_manager_core.configkeys import ConfigKeys
from keeper_secrets_manager_core.storage import KeyValueStorage

import ksm_storage
from ksm_storage import StorageError, aws
from ksm_storage.aws import AwsConfigProvider, AwsConfigType, AwsSecretStorage

REGION_FAILURE = "Failed to determine AWS region for EC2 instance"


@pytest.fixture
def off_ec2(emulator, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return emulator


def test_signatures_are_those_of_keeper():
    from keeper_secrets_manager_storage import storage_aws_secret as theirs

    for name in ("AwsSecretStorage", "AwsConfigProvider"):
        ours, other = getattr(aws, name), getattr(theirs, name)
        for method, function in inspect.getmembers(other, inspect.isfunction):
            if method.startswith("_") and method != "__init__":
                continue
            # Ours may also be called on the class, and then take no object.
            expected, found = (
                [(one.name, one.default) for one in inspect.signature(call).parameters.values() if one.name != "self"]
                for call in (function, getattr(ours, method))
            )
            assert found == expected, method
    assert aws.DEFAULT_AWS_KEY_NAME == theirs.DEFAULT_AWS_KEY_NAME
    assert [(one.name, one.value) for one in AwsConfigType] == [(one.name, one.value) for one in theirs.AwsConfigType]


def test_ec2_mode_finds_its_region(emulator, monkeypatch):
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    emulator.control("PUT", "/metadata", {"role": ["ASIA", "key", "token"]})
    emulator.store(CONFIG)
    storage = AwsSecretStorage(aws_key=SECRET)
    assert isinstance(storage, KeyValueStorage)
    assert storage.read_storage() == CONFIG
    assert storage.provider.key_name == SECRET
    assert emulator.calls() == (1, 0)


def test_every_mode_opens_an_object_and_the_class(emulator, tmp_path):
    emulator.store(CONFIG)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[ops]\naws_access_key_id = AKIA\naws_secret_access_key = k\n")
    modes = {
        "from_default_config": (SECRET,),
        "from_profile_config": (SECRET, "ops"),
        "from_ec2instance_config": (SECRET,),
        "from_custom_config": (emulator.arn, "AKIA", "key", "us-east-1"),
    }
    for mode, arguments in modes.items():
        storage = AwsSecretStorage()
        assert getattr(storage, mode)(*arguments) is None
        assert storage.read_storage() == CONFIG, mode
        assert getattr(AwsSecretStorage, mode)(*arguments).config == CONFIG, mode


def test_no_key_defers_failures(off_ec2):
    storage = AwsSecretStorage()
    assert "not opened" in repr(storage)
    with pytest.raises(Exception, match=REGION_FAILURE):
        storage.get(ConfigKeys.KEY_HOSTNAME)
    off_ec2.store({"hostname": "h"})
    storage.from_default_config(aws_key="ksm-config")
    assert storage.get(ConfigKeys.KEY_HOSTNAME) == "h"


def test_key_raises_at_once(off_ec2):
    with pytest.raises(Exception, match=REGION_FAILURE):
        AwsSecretStorage("ksm-config")
    with pytest.raises(ValueError, match="not found") as caught:
        AwsSecretStorage.from_default_config("missing")
    assert (caught.value.kind, caught.value.outcome, caught.value.retryable) == ("not_found", "not_applied", False)


def test_no_key_reports_other_failures_at_once(emulator):
    emulator.store("no configuration")
    with pytest.raises(ValueError) as caught:
        AwsSecretStorage()
    assert caught.value.kind == "invalid_config"


def test_failed_reopening_keeps_nothing(emulator):
    emulator.store({"hostname": "h"})
    storage = AwsSecretStorage(SECRET)
    with pytest.raises(ValueError):
        storage.from_default_config("missing")
    with pytest.raises(ValueError):
        storage.get(ConfigKeys.KEY_HOSTNAME)


def test_variable_names_the_secret(emulator, monkeypatch):
    monkeypatch.setenv("KSM_AWS_SECRET", "other")
    emulator.store({"hostname": "h"}, "other")
    for storage in (
        AwsSecretStorage(),
        AwsSecretStorage.from_default_config(""),
        AwsSecretStorage.from_custom_config("", "AKIA", "key", "us-east-1"),
    ):
        assert storage.get(ConfigKeys.KEY_HOSTNAME) == "h"
        assert storage.provider.key_name == "other"
    for malformed in ("a b", "\udcff"):
        monkeypatch.setenv("KSM_AWS_SECRET", malformed)
        with pytest.raises(ValueError, match="KSM_AWS_SECRET"):
            AwsSecretStorage()


def test_unknown_profile_is_an_error(emulator):
    with pytest.raises(ValueError, match="absent"):
        AwsSecretStorage.from_profile_config(SECRET, "absent")


def test_missing_fallback_is_an_error(emulator, monkeypatch):
    emulator.control("PUT", "/metadata", {"role": None})
    assert AwsSecretStorage(SECRET).is_empty()
    # Like Keeper's class, which compares it with True.
    for fallback in (False, None):
        with pytest.raises(ValueError) as caught:
            AwsSecretStorage(SECRET, fallback_to_default_profile=fallback)
        assert caught.value.kind == "credentials"


@pytest.mark.parametrize("missing", ["permission", "secret"])
def test_instance_role_is_only_tried(emulator, monkeypatch, missing):
    """On ECS and EKS, the metadata service offers the role of the host, which must not read the secret."""
    if missing == "permission":
        emulator.deny("GetSecretValue")
    else:
        monkeypatch.setenv("KSM_AWS_SECRET", "another")
    storage = AwsSecretStorage()
    with pytest.raises(StorageError):
        storage.is_empty()
    emulator.allow()
    storage.from_default_config(SECRET)
    assert storage.is_empty()


def test_values_stay_as_they_are(emulator):
    emulator.store(CONFIG)
    storage = AwsSecretStorage(SECRET)
    assert storage.get(ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID) == 10
    assert storage.set(ConfigKeys.KEY_HOSTNAME, "ü\n") == {**CONFIG, "hostname": "ü\n"}
    assert '"appUid": ["unknown", 1.5]' in emulator.control("GET", f"/secrets/{SECRET}")["value"]
    for value in ("", 7, None, True, 1.5, ["a", {"b": 1}], {"z": 1, "a": "\u2028"}):
        assert storage.set(ConfigKeys.KEY_URL, value)["url"] == value
        assert storage.get(ConfigKeys.KEY_URL) == value
        assert emulator.stored()["url"] == value
        assert storage.contains(ConfigKeys.KEY_URL)
    with pytest.raises(TypeError):
        storage.set(ConfigKeys.KEY_URL, b"bytes")
    with pytest.raises(ValueError):
        storage.set(ConfigKeys.KEY_URL, float("nan"))


def test_returned_dicts_are_copies(emulator):
    emulator.store(CONFIG)
    storage = AwsSecretStorage(SECRET)
    storage.read_storage()["appUid"].append("changed")
    storage.set(ConfigKeys.KEY_URL, ["a"]).clear()
    storage.get(ConfigKeys.KEY_URL).append("b")
    storage.config["hostname"] = "changed"
    assert storage.read_storage() == {**CONFIG, "url": ["a"]}


def test_keys_are_deleted(emulator):
    emulator.store({"hostname": "h", "url": "u"})
    storage = AwsSecretStorage(SECRET)
    assert storage.delete(ConfigKeys.KEY_URL) == {"hostname": "h"}
    assert storage.delete(ConfigKeys.KEY_URL) == {"hostname": "h"}
    assert storage.delete(ConfigKeys.KEY_HOSTNAME) == {} == emulator.stored()
    assert storage.is_empty() and not storage.contains(ConfigKeys.KEY_HOSTNAME)
    storage.set(ConfigKeys.KEY_URL, "u")
    assert storage.delete_all() == {} == emulator.stored()


def test_saving_stores_the_difference(emulator):
    emulator.store({"hostname": "h", "url": "u"})
    storage = AwsSecretStorage(SECRET)
    config = storage.read_storage()
    AwsSecretStorage.from_default_config(SECRET).set(ConfigKeys.KEY_CLIENT_ID, "another's")
    config["hostname"] = "i"
    del config["url"]
    assert storage.save_storage(config) is None
    assert emulator.stored() == {"hostname": "i", "clientId": "another's"}
    storage.save_storage({})
    assert emulator.stored() == {}


def test_empty_configuration_is_read_again(emulator):
    storage = AwsSecretStorage(SECRET)
    assert storage.is_empty()
    emulator.store({"hostname": "h"})
    assert storage.get(ConfigKeys.KEY_HOSTNAME) == "h"
    emulator.calls()
    storage.get(ConfigKeys.KEY_HOSTNAME)
    assert emulator.calls() == (0, 0)


def test_refused_write_raises(emulator):
    emulator.store({"hostname": "h"})
    storage = AwsSecretStorage(SECRET)
    emulator.deny("PutSecretValue")
    for write in (
        lambda: storage.set(ConfigKeys.KEY_HOSTNAME, "i"),
        lambda: storage.delete(ConfigKeys.KEY_HOSTNAME),
        lambda: storage.save_storage({"serverPublicKeyId": "7", "hostname": "i"}),
        storage.delete_all,
    ):
        with pytest.raises(StorageError, match="PutSecretValue") as caught:
            write()
        assert (caught.value.kind, caught.value.outcome) == ("access_denied", "not_applied")
    assert storage.read_storage() == {"hostname": "h"}


def test_key_id_of_read_only_role_warns(emulator, caplog):
    emulator.store({"hostname": "h", "serverPublicKeyId": "7"})
    storage = AwsSecretStorage(SECRET)
    emulator.deny("PutSecretValue")
    assert storage.set(ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID, "8") == {"hostname": "h", "serverPublicKeyId": "8"}
    assert storage.get(ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID) == "8"
    assert [(one.name, one.levelname) for one in caplog.records] == [("ksm.storage", "WARNING")]
    assert emulator.stored()["serverPublicKeyId"] == "7"
    emulator.allow()
    storage.set(ConfigKeys.KEY_HOSTNAME, "i")
    assert storage.get(ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID) == "7"
    emulator.deny("PutSecretValue", "ThrottlingException")
    with pytest.raises(StorageError):
        storage.set(ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID, "8")


def test_provider_reads_and_writes(emulator):
    emulator.store(CONFIG)
    provider = AwsConfigProvider(SECRET)
    assert (provider.config_type, provider.fallback) == (AwsConfigType.EC2INSTANCE, True)
    assert json.loads(provider.read_config()) == CONFIG
    provider.from_custom_config(emulator.arn, "AKIA", "key", "us-east-1", False)
    assert (provider.config_type, provider.fallback, provider.region) == (AwsConfigType.CREDENTIALS, False, "us-east-1")
    assert provider.write_config('{"hostname": "h"}') == ""
    assert emulator.stored() == {"hostname": "h"} == json.loads(provider.read_config())
    assert "invalid configuration document" in provider.write_config("no JSON")
    emulator.deny("PutSecretValue")
    assert "PutSecretValue" in provider.write_config("{}")
    provider.from_default_config("missing")
    with pytest.raises(Exception, match="not found"):
        provider.read_config()
    assert "not found" in provider.write_config("{}")


def test_provider_serves_the_command_line(emulator):
    """Uses it as ``Config.load`` of keeper-secrets-manager-cli 1.5.0 does."""
    from keeper_secrets_manager_core.storage import InMemoryKeyValueStorage

    emulator.store({"clientId": "id", "serverPublicKeyId": "10"})
    for mode, arguments in (
        ("from_ec2instance_config", (SECRET, True)),
        ("from_default_config", (SECRET, True)),
        ("from_custom_config", (SECRET, "AKIA", "key", "us-east-1", True)),
    ):
        provider = AwsConfigProvider(SECRET)
        getattr(provider, mode)(*arguments)
        storage = InMemoryKeyValueStorage(provider.read_config())
        assert storage.get(ConfigKeys.KEY_CLIENT_ID) == "id"


def test_base64_is_read(emulator):
    emulator.store("eyJob3N0bmFtZSI6ICJoIn0=")
    assert AwsSecretStorage(SECRET).read_storage() == {"hostname": "h"}


def test_ca_bundle_is_honoured_or_named(keeper, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    # A server whose certificate nobody has signed.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://" + keeper.arguments["hostname"])
    with pytest.raises(ValueError, match="AWS_CA_BUNDLE"):
        AwsSecretStorage.from_default_config(SECRET)
    monkeypatch.delenv("AWS_CA_BUNDLE")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "own.pem"))
    with pytest.raises(ValueError, match="REQUESTS_CA_BUNDLE is not read: set AWS_CA_BUNDLE"):
        AwsSecretStorage.from_default_config(SECRET)
    # Other failures have other remedies.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:9")
    with pytest.raises(ValueError) as caught:
        AwsSecretStorage.from_default_config(SECRET)
    assert "REQUESTS_CA_BUNDLE" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_PROFILE", "absent"),
        ("AWS_CONFIG_FILE", "/absent/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/absent/credentials"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "no url"),
        ("AWS_DEFAULT_REGION", "no region"),
        ("AWS_MAX_ATTEMPTS", "many"),
        ("AWS_RETRY_MODE", "never"),
        ("AWS_USE_FIPS_ENDPOINT", "perhaps"),
        ("HTTPS_PROXY", "no proxy"),
    ],
)
def test_malformed_variables_are_named(emulator, monkeypatch, variable, value):
    """boto3 reads these variables, so they must have an effect here."""
    monkeypatch.setenv(variable, value)
    if variable == "HTTPS_PROXY":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:9")
    if variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv("AWS_PROFILE", "ops")
    with pytest.raises(ValueError) as caught:
        AwsSecretStorage.from_default_config(SECRET)
    named = "ops" if variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE") else variable
    assert named in str(caught.value)


def test_tracebacks_hold_no_variable(emulator, monkeypatch):
    for variable in ("AWS_SECRET_ACCESS_KEY", "KSM_CONFIG", "KSM_TOKEN"):
        monkeypatch.setenv(variable, CANARY)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "many")
    with pytest.raises(ValueError) as raised:
        AwsSecretStorage.from_default_config(SECRET)
    shown = "".join(TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert "_open_native" in shown and CANARY not in shown


def test_attempts_are_honoured(emulator, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    emulator.fail("GetSecretValue", {"before": {"status": 500}})
    with pytest.raises(ValueError):
        AwsSecretStorage.from_default_config(SECRET)
    assert emulator.calls() == (1, 0)


def test_logger_is_that_of_keeper():
    from keeper_secrets_manager_core.keeper_globals import logger_name

    from ksm_storage._storage import ksm_logger, logger

    assert ksm_logger is logging.getLogger(logger_name)
    assert logger.parent is ksm_logger


def test_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert ksm_storage.__version__ == version("ksm-storage")
