"""Features that Keeper's class lacks."""

import enum
import logging
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import CANARY, CONFIG, SECRET
from keeper_secrets_manager_core.configkeys import ConfigKeys

import ksm_storage
from ksm_storage import StorageError
from ksm_storage.aws import AwsSecretStorage


@pytest.fixture
def storage(emulator):
    emulator.store(CONFIG)
    return AwsSecretStorage.from_default_config(SECRET)


def count(config):
    config["count"] = config.get("count", 0) + 1


def test_update_is_atomic(storage, emulator):
    assert storage.update(lambda config: {**config, "url": "u"}) == {**CONFIG, "url": "u"}
    assert storage.update(count) == {**CONFIG, "url": "u", "count": 1} == emulator.stored()
    version = storage.version
    assert storage.update(lambda config: None)["count"] == 1
    assert storage.version == version
    # Types matter, because True equals 1 in Python.
    assert storage.update(lambda config: {**config, "count": True})["count"] is True
    assert emulator.stored()["count"] is True


class OwnKey(enum.Enum):
    URL = "url"
    NUMBER = 7


class TextKey(str, enum.Enum):
    URL = "url"


@pytest.mark.parametrize("key", [ConfigKeys.KEY_URL, OwnKey.URL, TextKey.URL])
def test_enum_keys_are_stored_by_value(storage, emulator, key):
    assert storage.update(lambda config: {**config, key: "u", ConfigKeys.KEY_HOSTNAME: "i"})["url"] == "u"
    assert emulator.stored() == {**CONFIG, "url": "u", "hostname": "i"}
    storage.update(lambda config: config.update({key: "v"}))
    assert emulator.stored()["url"] == "v"
    storage.save_storage({**storage.read_storage(), key: "w"})
    assert emulator.stored() == {**CONFIG, "url": "w", "hostname": "i"}
    storage.save_storage({key: "x"})
    assert emulator.stored() == {"url": "x"}


@pytest.mark.parametrize("key", [7, None, True, b"url", ("url",), OwnKey.NUMBER, ConfigKeys])
def test_other_keys_are_type_errors(storage, emulator, key):
    emulator.calls()
    for write in (
        lambda: storage.update(lambda config: {**config, key: "x"}),
        lambda: storage.save_storage({key: "x"}),
        lambda: storage.get(key),
        lambda: storage.set(key, "x"),
        lambda: storage.contains(key),
        lambda: storage.delete(key),
    ):
        with pytest.raises(TypeError, match="key"):
            write()
    assert emulator.calls() == (0, 0) or emulator.stored() == CONFIG


def test_two_new_values_are_an_error(storage, emulator):
    with pytest.raises(ValueError, match="hostname.*twice"):
        storage.update(lambda config: {**config, "hostname": CANARY, ConfigKeys.KEY_HOSTNAME: "i"})
    assert emulator.stored() == CONFIG
    assert storage.update(lambda config: {ConfigKeys.KEY_HOSTNAME: "i", **config})["hostname"] == "i"


def test_keys_of_methods_are_enums(storage, emulator):
    """Keeper's class raises AttributeError."""
    for call in (
        lambda: storage.get("hostname"),
        lambda: storage.set("hostname", "i"),
        lambda: storage.contains("hostname"),
        lambda: storage.delete("hostname"),
    ):
        with pytest.raises(TypeError, match="expected a member of ConfigKeys, not str"):
            call()
    assert emulator.stored() == CONFIG


def test_update_runs_on_its_caller(storage):
    lock = threading.RLock()
    seen = []

    def change(config):
        with lock:
            seen.append(threading.get_ident())
            config["url"] = "u"

    with lock:
        storage.update(change)
    assert seen == [threading.get_ident()]


def test_update_runs_again_after_a_conflict(storage, emulator):
    """A foreign writer stores between the load and the store, but only the first time."""
    runs = []

    def change(config):
        runs.append(dict(config))
        if len(runs) == 1:
            other = subprocess.run(
                [sys.executable, "-c", "from ksm_storage import *; open('aws-sm:ksm-config').update(lambda c: {**c, 'url': 'o'})"]
            )
            assert other.returncode == 0
        config["hostname"] = "mine"

    assert storage.update(change)["url"] == "o"
    assert len(runs) == 2 and runs[1]["url"] == "o"
    assert emulator.stored() == {**CONFIG, "url": "o", "hostname": "mine"}


def test_raising_change_stores_nothing(storage, emulator):
    class Own(Exception):
        pass

    def change(config):
        config["url"] = "u"
        raise Own(CANARY)

    emulator.calls()
    with pytest.raises(Own):
        storage.update(change)
    assert emulator.calls()[1] == 0
    with pytest.raises(TypeError, match="returned int"):
        storage.update(lambda config: 7)
    with pytest.raises(TypeError):
        storage.update(lambda config: {"a": object()})
    with pytest.raises(SystemExit):
        storage.update(lambda config: sys.exit(1))
    assert storage.set(ConfigKeys.KEY_URL, "u")["url"] == "u"


def test_change_must_not_use_a_storage(storage):
    other = ksm_storage.open("memory:")
    for inner in (lambda: storage.set(ConfigKeys.KEY_URL, "u"), lambda: storage.update(count), other.refresh):
        with pytest.raises(StorageError, match="must not wait") as caught:
            storage.update(lambda config, inner=inner: inner())
        assert (caught.value.kind, caught.value.outcome) == ("invalid_argument", "not_applied")
    assert storage.update(lambda config: {**config, "url": storage.get(ConfigKeys.KEY_HOSTNAME)})["url"] == CONFIG["hostname"]


@pytest.mark.slow
def test_slow_changes_are_named():
    """Neither a change that takes too long nor one that waits for a writing thread looks like a failure of the store."""

    def slow(storage):
        time.sleep(16.5)

    def joining(storage):
        def other():
            with pytest.raises(StorageError):
                storage.set(ConfigKeys.KEY_URL, "u")

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    def fail(work):
        storage = ksm_storage.open("memory:")
        with pytest.raises(StorageError) as caught:
            storage.update(lambda config: {**config, "done": work(storage)})
        assert storage.is_empty()
        return caught.value

    with ThreadPoolExecutor() as pool:
        for error in pool.map(fail, (slow, joining)):
            assert "the function passed to update took 1" in str(error) and "waits for another thread" in str(error)
            assert (error.kind, error.outcome, error.retryable) == ("timeout", "not_applied", False)
            assert "runtime" not in str(error)


def test_refresh_reads_again(storage, emulator):
    version = storage.version
    emulator.store({"hostname": "i"})
    assert storage.get(ConfigKeys.KEY_HOSTNAME) == CONFIG["hostname"]
    assert storage.refresh() == {"hostname": "i"}
    assert storage.version != version


def test_urls_open_storages(emulator, tmp_path, monkeypatch):
    emulator.store(CONFIG)
    assert ksm_storage.open(f"aws-sm:{SECRET}").read_storage() == CONFIG
    assert ksm_storage.open("memory:").is_empty()
    (tmp_path / "config.json").write_text('{"hostname": "h"}')
    (tmp_path / "config.json").chmod(0o600)
    assert ksm_storage.open(f"file:{tmp_path}/config.json").get(ConfigKeys.KEY_HOSTNAME) == "h"
    monkeypatch.setenv("KSM_CONFIG", '{"hostname": "h", "serverPublicKeyId": "7"}')
    storage = ksm_storage.open("env:KSM_CONFIG")
    assert storage.set(ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID, "8")["serverPublicKeyId"] == "8"
    with pytest.raises(StorageError) as caught:
        storage.set(ConfigKeys.KEY_HOSTNAME, "i")
    assert caught.value.kind == "read_only"
    for url in ("ksm-config", "s3:x", f"aws-sm:{SECRET}?mode=x"):
        with pytest.raises(ValueError):
            ksm_storage.open(url)
    assert repr(storage) == "<Storage env:KSM_CONFIG>"


def test_objects_share_clients(emulator):
    emulator.store(CONFIG)
    storages = [AwsSecretStorage.from_default_config(SECRET) for _ in range(50)]
    assert len({id(storage._native) for storage in storages}) == 1
    assert emulator.calls() == (50, 0)
    storages[0].set(ConfigKeys.KEY_URL, "u")
    assert storages[1].get(ConfigKeys.KEY_URL) == "u"
    assert AwsSecretStorage.from_custom_config(emulator.arn, "AKIA", "k", "")._native is not storages[0]._native


def test_displaced_version_is_named(storage, emulator, caplog):
    """A foreign program writes between the load and the store."""

    def change(config):
        config["url"] = "u"
        emulator.store({"hostname": "foreign"})

    with pytest.raises(StorageError) as caught:
        storage.update(change)
    error = caught.value
    assert (error.kind, error.outcome, error.retryable) == ("displaced", "applied", False)
    assert error.displaced in str(error)
    assert any(record.levelno == logging.WARNING and "displaced" in record.getMessage() for record in caplog.records)
    copy = pickle.loads(pickle.dumps(error))
    assert vars(copy) == vars(error) and str(copy) == str(error) and type(copy) is StorageError


def test_warnings_reach_logging(emulator, caplog):
    emulator.store({"username": "u"})
    emulator.control("PUT", "/metadata", {"role": None})
    storage = AwsSecretStorage(SECRET)
    texts = [record.getMessage() for record in caplog.records]
    assert any(text.startswith("fallback: ") for text in texts), texts
    assert any(text.startswith("unrecognized: ") for text in texts), texts
    # The load succeeds, but the check after the write fails.
    emulator.fail("GetSecretValue", {"delay_ms": 0}, *[{"refuse": "AccessDeniedException"}] * 3)
    storage.set(ConfigKeys.KEY_URL, "u")
    assert any("unverified: " in record.getMessage() for record in caplog.records), caplog.records
    emulator.control("DELETE", "/faults")
    version = storage.version
    storage.set(ConfigKeys.KEY_URL, "v")
    emulator.control("PUT", f"/secrets/{SECRET}", {"current": version})
    storage.refresh()
    assert any("rollback: " in record.getMessage() for record in caplog.records), caplog.records
    assert {record.name for record in caplog.records} == {"ksm.storage"}


def test_storages_cannot_be_pickled(storage):
    with pytest.raises(TypeError, match="open the storage in the other process"):
        pickle.dumps(storage)


def test_threads_lose_no_update(storage, emulator):
    threads = [threading.Thread(target=lambda: [storage.update(count) for _ in range(25)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert emulator.stored()["count"] == 200


@pytest.mark.parametrize("concurrency", ["optimistic", "strict"])
def test_processes_lose_no_update(storage, emulator, concurrency):
    program = """
import sys
from ksm_storage import open
def count(config): config["count"] = config.get("count", 0) + 1
storage = open("aws-sm:ksm-config?concurrency=" + sys.argv[1])
for _ in range(25):
    storage.update(count)
"""
    processes = [subprocess.Popen([sys.executable, "-c", program, concurrency]) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert emulator.stored()["count"] == 100


def test_threads_share_writes(storage, emulator):
    emulator.calls()
    threads = [
        threading.Thread(target=lambda key=key: [storage.set(key, str(n)) for n in range(25)])
        for key in list(ConfigKeys)[:8]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(emulator.stored()[key.value] == "24" for key in list(ConfigKeys)[:8])
    assert emulator.calls()[1] < 200


def test_no_canary_in_any_text(emulator, caplog):
    caplog.set_level(logging.DEBUG)
    texts = []

    def collect(call):
        try:
            texts.append(repr(call()))
        except Exception as error:
            texts.extend([str(error), repr(error), repr(vars(error)), repr(error.__cause__), repr(error.__context__)])

    emulator.store('{"clientId": "%s", "clientKey": "%s' % (CANARY, CANARY))
    collect(lambda: AwsSecretStorage(SECRET))
    emulator.store(CANARY)
    collect(lambda: AwsSecretStorage(SECRET))
    emulator.store({"clientId": CANARY, "x": [CANARY], CANARY: 1})
    storage = AwsSecretStorage.from_custom_config(SECRET, "AKIA", CANARY, "us-east-1")
    texts += [repr(storage), repr(storage._native), repr(storage.provider), str(storage.provider._settings())]
    collect(lambda: storage.set(ConfigKeys.KEY_URL, {CANARY}))
    collect(lambda: storage.save_storage({"url": CANARY * 2000}))
    collect(lambda: storage.provider.write_config("{" + CANARY))
    collect(lambda: ksm_storage.open(CANARY))
    collect(lambda: ksm_storage.open("aws-sm:" + "{" + CANARY))
    emulator.deny("PutSecretValue")
    collect(lambda: storage.set(ConfigKeys.KEY_CLIENT_ID, CANARY + "2"))
    collect(lambda: storage.set(ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID, CANARY) and None)
    emulator.fail("GetSecretValue", {"after": "malformed"})
    collect(lambda: storage.refresh() and None)
    collect(lambda: AwsSecretStorage.from_custom_config(SECRET, "AKIA", CANARY + "\n", "us-east-1") and None)
    texts += [record.getMessage() for record in caplog.records]
    assert len(texts) > 20
    assert not [text for text in texts if CANARY in text]
