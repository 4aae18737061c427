"""The same programs on Keeper's class and on ours. All differences are intended."""

import json
import logging

import pytest
from conftest import SECRET
from keeper_secrets_manager_core.configkeys import ConfigKeys
from keeper_secrets_manager_storage.storage_aws_secret import AwsConfigProvider as TheirProvider
from keeper_secrets_manager_storage.storage_aws_secret import AwsSecretStorage as TheirStorage

from ksm_storage.aws import AwsConfigProvider, AwsSecretStorage

HOSTNAME, URL = ConfigKeys.KEY_HOSTNAME, ConfigKeys.KEY_URL
#: Keeper's class asks the metadata service without a token, which this one, like many instances, rejects: the region is in the
#: ARN.
ARN = ""
STORED = {"hostname": "h", "serverPublicKeyId": 10, "unknown": [1]}


def read(storage):
    return storage.read_storage(), storage.get(ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID), storage.get(URL)


def asked(storage):
    return storage.is_empty(), storage.contains(HOSTNAME), storage.contains(URL), type(storage).__mro__[-2].__name__


def set_key(storage):
    return storage.set(URL, "u"), storage.set(URL, 7), storage.set(URL, None), storage.get(URL)


def delete_key(storage):
    return storage.delete(HOSTNAME), storage.delete(URL)


def delete_all(storage):
    return storage.delete_all()


def save(storage):
    return storage.save_storage({"hostname": "i"}), storage.read_storage()


def delete_last(storage):
    storage.save_storage({"url": "u"})
    return storage.delete(URL)


def save_empty(storage):
    return storage.save_storage({}), storage.is_empty()


def reopen(storage):
    return storage.from_default_config(SECRET), storage.from_default_config(aws_key=SECRET), storage.config


@pytest.fixture(autouse=True)
def instance(emulator, monkeypatch):
    monkeypatch.setitem(globals(), "ARN", emulator.arn)
    emulator.control("PUT", "/metadata", {"role": ["ASIA", "key", "token"]})


@pytest.mark.parametrize("program", [read, asked, set_key, delete_key, delete_all, save, reopen])
def test_programs_agree(emulator, program):
    results = []
    for storage_class in (TheirStorage, AwsSecretStorage):
        emulator.store(STORED)
        results.append((program(storage_class(ARN)), emulator.stored()))
    assert results[0] == results[1]


@pytest.mark.parametrize("stored", ["{}", '{"url": 1}', "eyJ1cmwiOiAxfQ==", '\n{"url": 1} '])
def test_values_are_read_alike(emulator, stored):
    emulator.store(stored)
    theirs = TheirStorage(ARN).read_storage()
    assert AwsSecretStorage(ARN).read_storage() == theirs
    assert json.loads(AwsConfigProvider(ARN).read_config()) == theirs


def test_both_reject_no_object(emulator):
    for stored in ("[1]", "7", "no JSON", '"text"'):
        emulator.store(stored)
        for storage_class in (TheirStorage, AwsSecretStorage):
            with pytest.raises(ValueError):
                storage_class(ARN)
    for storage_class in (TheirStorage, AwsSecretStorage):
        with pytest.raises(ValueError):
            storage_class(ARN.replace("ksm-config", "missing"))


def outcome(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__


#: Difference, program, and the output with each class. docs/python.md gives the reasons.
DIFFERENCES = {
    "a refused write raises": (
        lambda emulator, cls: (cls(ARN), emulator.deny("PutSecretValue"))[0].set(HOSTNAME, "i")["hostname"],
        "i",
        "StorageError",
    ),
    "the last key can be deleted": (lambda emulator, cls: delete_last(cls(ARN)) or emulator.stored(), {"url": "u"}, {}),
    "an empty configuration can be saved": (
        lambda emulator, cls: save_empty(cls(ARN)) and emulator.stored(),
        STORED,
        {},
    ),
    "keys of other writers are kept": (
        lambda emulator, cls: (cls(ARN), emulator.store({"url": "other"}))[0].set(HOSTNAME, "i") and emulator.stored(),
        {**STORED, "hostname": "i"},
        {"url": "other", "hostname": "i"},
    ),
    "a key that another writer has set is deleted": (
        lambda emulator, cls: (cls(ARN), emulator.store({**STORED, "url": "u"}))[0].delete(URL) and emulator.stored(),
        {**STORED, "url": "u"},
        STORED,
    ),
    "the variable `KSM_AWS_SECRET` replaces an empty key in every mode": (
        lambda emulator, cls: (s := cls(ARN)).from_default_config("") or s.read_storage(),
        "ValueError",
        STORED,
    ),
    "an unknown profile is an error": (
        lambda emulator, cls: (s := cls(ARN)).from_profile_config(SECRET, "absent") or s.read_storage(),
        STORED,
        "StorageError",
    ),
    "methods work on the class": (
        lambda emulator, cls: cls.from_default_config(SECRET).read_storage(),
        "TypeError",
        STORED,
    ),
    "a missing secret is not created": (
        lambda emulator, cls: created(cls),
        True,
        False,
    ),
    "an error quotes no value": (
        lambda emulator, cls: emulator.store('{"clientKey": "s3cret"') or quoted(cls),
        True,
        False,
    ),
    "a missing region is reported by the first use if no key is given": (
        lambda emulator, cls: type(cls()).__name__,
        "Exception",
        "AwsSecretStorage",
    ),
    "private attributes of Keeper's class do not exist": (
        lambda emulator, cls: hasattr(cls(ARN), "last_saved_config_hash"),
        True,
        False,
    ),
}


def created(cls):
    """Creates a secret with a unique name, because Keeper's class really creates it."""
    provider = (TheirProvider if cls is TheirStorage else AwsConfigProvider)(SECRET)
    provider.from_default_config(cls.__module__)
    return provider.write_config("{}") == ""


def quoted(cls):
    try:
        cls(ARN)
    except ValueError as error:
        return "s3cret" in str(error)


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_differences_are_intended(emulator, monkeypatch, caplog, difference):
    caplog.set_level(logging.CRITICAL, "ksm")
    program, theirs, ours = DIFFERENCES[difference]
    if "region" in difference:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    if "variable" in difference:
        monkeypatch.setenv("KSM_AWS_SECRET", SECRET)
    results = []
    for storage_class in (TheirStorage, AwsSecretStorage):
        emulator.store(STORED)
        results.append(outcome(lambda: program(emulator, storage_class)))
        emulator.allow()
    assert results == [theirs, ours]


def test_differences_are_documented():
    from pathlib import Path

    page = (Path(__file__).parents[3] / "docs" / "python.md").read_text().lower()
    assert [name for name in DIFFERENCES if name.lower() not in page] == []
