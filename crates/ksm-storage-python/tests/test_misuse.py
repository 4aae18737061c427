"""Wrong arguments, copies, and objects that were not initialized."""

import copy
import inspect
import pickle
from unittest import mock

import pytest
from conftest import CANARY, CONFIG, SECRET
from keeper_secrets_manager_core.configkeys import ConfigKeys
from keeper_secrets_manager_storage.storage_aws_secret import AwsConfigProvider as TheirProvider
from keeper_secrets_manager_storage.storage_aws_secret import AwsSecretStorage as TheirStorage

import ksm_storage
from ksm_storage import Storage, StorageError, connect
from ksm_storage.aws import AwsConfigProvider, AwsConfigType, AwsSecretStorage

MODES = ["from_default_config", "from_profile_config", "from_ec2instance_config", "from_custom_config"]
METHODS = ["update", "save_storage", "get", "set", "delete", "contains"]
#: For each parameter, an argument that works.
WORKING = {
    "url": "memory:",
    "aws_key": SECRET,
    "profile": "ops",
    "aws_access_key_id": "AKIA",
    "aws_secret_access_key": "k",
    "region": "us-east-1",
    "fallback_to_default_profile": True,
    "change": lambda config: None,
    "updated_config": {},
    "key": ConfigKeys.KEY_URL,
    "value": "v",
    "config": "{}",
    "token": "127.0.0.1:" + "A" * 43,
}
#: Parameters that may be None, which then has the default meaning.
OPTIONAL = {"aws_key", "profile", "region", "fallback_to_default_profile", "value"}


@pytest.fixture
def opened(emulator, tmp_path, monkeypatch):
    """An emulator that serves every mode. A secret named by its ARN needs no region."""
    emulator.store(CONFIG)
    (tmp_path / ".aws").mkdir()
    keys = "aws_access_key_id = AKIA\naws_secret_access_key = k\n"
    (tmp_path / ".aws" / "credentials").write_text(f"[ops]\n{keys}[default]\n{keys}")
    monkeypatch.setitem(WORKING, "aws_key", emulator.arn)
    monkeypatch.setenv("KSM_AWS_SECRET", emulator.arn)
    return emulator


def parameters(call):
    return [name for name in inspect.signature(call).parameters if name != "self"]


def calls():
    """Everything public that takes arguments."""
    memory, provider = ksm_storage.open("memory:"), AwsConfigProvider(SECRET)
    yield ksm_storage.open
    yield lambda storage: connect(storage, WORKING["token"])
    yield lambda token: connect(memory, token)
    yield Storage
    yield AwsSecretStorage
    yield AwsConfigProvider
    yield provider.write_config
    for method in METHODS:
        yield getattr(memory, method)
    for mode in MODES:
        yield getattr(AwsSecretStorage, mode)
        yield getattr(AwsSecretStorage.from_default_config(WORKING["aws_key"]), mode)
        yield getattr(provider, mode)


def outcomes(wrong):
    """Replaces one argument after the other, and yields the name of the parameter and the exception or None."""
    for call in calls():
        for name in parameters(call):
            others = {other: WORKING[other] for other in parameters(call) if other != name}
            try:
                result = call(**others, **{name: wrong})
            except Exception as error:
                yield name, error
            else:
                # `write_config` returns the reason.
                yield name, ValueError(result) if name == "config" and result else None


def test_arguments_may_be_none_or_are_named(opened):
    seen = set()
    for name, error in outcomes(None):
        seen.add(name)
        if name in OPTIONAL:
            assert error is None, (name, error)
        elif name == "token":
            assert error.kind == "unbound"
        else:
            assert isinstance(error, (TypeError, ValueError)) and name in str(error), (name, error)
    assert seen >= set(WORKING)


def test_missing_region_of_credentials_is_named(emulator):
    for region in (None, "", " "):
        with pytest.raises(ValueError, match="pass a region") as caught:
            AwsSecretStorage.from_custom_config(SECRET, "AKIA", "k", region)
        # It is not read in this mode.
        assert "AWS_REGION" not in str(caught.value)


@pytest.mark.parametrize("wrong", [7.5, CANARY.encode(), [CANARY], (CANARY for _ in "a"), object()])
def test_wrong_types_name_the_argument(opened, wrong):
    for name, error in outcomes(wrong):
        if name == "value" and isinstance(wrong, (float, list)):
            continue
        assert isinstance(error, TypeError) and name in str(error), (name, error)
        assert CANARY not in str(error) and "AwsSettings" not in str(error)


def test_lone_surrogates_name_the_argument(opened):
    no_text = {"native", "storage", "key", "change", "updated_config", "fallback_to_default_profile"}
    for name, error in outcomes(CANARY + "\ud800"):
        assert isinstance(error, TypeError if name in no_text else ValueError) and name in str(error), (name, error)
        assert not isinstance(error, UnicodeError)
        assert CANARY not in repr((error, error.args, error.__context__))
    memory = ksm_storage.open("memory:")
    for config in (
        {CANARY + "\udfff": 1},
        {"own": [{"a": CANARY + "\ud800"}]},
        {"own": {"\ud800": CANARY}},
        {"url": "\udc00\ud800"},
    ):
        for write in (memory.save_storage, lambda config: memory.update(lambda _: config)):
            with pytest.raises(ValueError, match="lone surrogate") as caught:
                write(config)
            assert not isinstance(caught.value, UnicodeError) and CANARY not in str(caught.value)
    assert memory.read_storage() == {}
    assert memory.set(ConfigKeys.KEY_URL, "\U0001f511\\ud800")["url"] == "\U0001f511\\ud800"


def test_stored_lone_surrogates_are_kept(emulator):
    """Python's JSON may contain them, so another program may have stored one."""
    emulator.control("PUT", f"/secrets/{SECRET}", {"value": '{"own": "\\ud800", "hostname": "h"}'})
    storage = AwsSecretStorage.from_default_config(SECRET)
    storage.update(lambda config: {**config, "url": "u"})
    assert '"\\ud800"' in emulator.control("GET", f"/secrets/{SECRET}")["value"]


def endless():
    value = []
    value.append(value)
    return value


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"x", TypeError),
        ({1, 2}, TypeError),
        ((n for n in "ab"), TypeError),
        ({1: 2, "1": 3}, TypeError),
        (ConfigKeys.KEY_URL, TypeError),
        (float("nan"), ValueError),
        (endless(), ValueError),
        (deep(), ValueError),
        (10**5000, ValueError),
    ],
    ids=["bytes", "set", "generator", "mixed keys", "enum", "nan", "endless", "deep", "digits"],
)
def test_unstorable_values_name_their_key(value, expected):
    memory = ksm_storage.open("memory:")
    for write in (
        lambda: memory.set(ConfigKeys.KEY_URL, value),
        lambda: memory.save_storage({"url": value}),
        lambda: memory.update(lambda config: {"url": value}),
    ):
        with pytest.raises(expected, match="the value of url cannot be stored"):
            write()
    assert memory.is_empty()


def test_coroutine_as_change_is_named(recwarn):
    async def change(config):
        return config

    with pytest.raises(TypeError, match="change must not be async"):
        ksm_storage.open("memory:").update(change)
    assert not recwarn.list


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.setdefault("own", {}),
        lambda config: config.setdefault("new", {}),
        lambda config: config.get("own"),
        lambda config: config.pop("own"),
    ],
)
def test_part_replaces_no_configuration(change):
    """Such a method as the last expression of a lambda returns a dict, but not the configuration."""
    memory = ksm_storage.open("memory:")
    stored = memory.update(lambda config: {"hostname": "h", "own": {"a": 1}})
    with pytest.raises(TypeError, match="the change returned a part of the configuration"):
        memory.update(change)
    assert memory.read_storage() == stored


def test_attributes_are_checked(opened):
    provider = AwsConfigProvider(SECRET)
    for name in ("key_name", "aws_profile", "aws_access_key_id", "aws_secret_access_key", "region"):
        for wrong in (7, b"x", "\ud800"):
            with pytest.raises((TypeError, ValueError), match=name):
                setattr(provider, name, wrong)
        setattr(provider, name, None)
        assert getattr(provider, name) == ""
    assert provider.read_config()
    for name in ("config_type", "fallback"):
        provider.from_ec2instance_config(SECRET)
        setattr(provider, name, "SESSION")
        with pytest.raises(TypeError, match=name):
            provider.read_config()


def test_errors_have_every_field():
    class Own(StorageError):
        def __init__(self):
            pass

    for error in (Own(), StorageError("m", None, None, None, None), StorageError("m")):
        assert (error.kind, error.outcome, error.retryable, error.displaced) == ("unexpected", "not_applied", False, None)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_copies_share_the_store(opened, duplicate):
    class Own(AwsSecretStorage):
        pass

    storage = Own.from_default_config(SECRET)
    storage.own = [1]
    for original in (storage, ksm_storage.open("memory:"), AwsSecretStorage.__new__(AwsSecretStorage)):
        other = duplicate([original])[0] if duplicate is copy.deepcopy else duplicate(original)
        assert type(other) is type(original) and other is not original
        assert repr(other) == repr(original)
    other = duplicate(storage)
    assert other.own == [1] and (other.own is storage.own) == (duplicate is copy.copy)
    other.set(ConfigKeys.KEY_URL, "u")
    assert storage.get(ConfigKeys.KEY_URL) == "u"
    # Only one of them is reopened.
    opened.store({"hostname": "i"}, "other")
    other.from_default_config("other")
    assert storage.get(ConfigKeys.KEY_URL) == "u" and storage.provider.key_name == SECRET


def test_providers_are_copied_like_theirs(opened):
    for provider_class in (TheirProvider, AwsConfigProvider):
        provider = provider_class(SECRET)
        provider.from_custom_config(opened.arn, "AKIA", CANARY, "us-east-1")
        for duplicate in (copy.copy, copy.deepcopy):
            other = duplicate(provider)
            assert vars(other).keys() == vars(provider).keys()
            assert (other.aws_secret_access_key, other.config_type.name) == (CANARY, "CREDENTIALS")
            assert other.read_config() == provider.read_config()
        with pytest.raises((TypeError, AttributeError)) as caught:
            pickle.dumps(provider)
    assert "cannot pickle AwsConfigProvider" in str(caught.value) and CANARY not in str(caught.value)


@pytest.mark.parametrize("storage_class", [Storage, AwsSecretStorage])
def test_uninitialized_storages_say_so(storage_class):
    class Own(storage_class):
        def __init__(self):
            self.own = 1

    storage = Own()
    assert repr(storage) == "<Own not opened>" == repr(Own.__new__(Own))
    for name, member in inspect.getmembers(Own):
        if name.startswith("_") or name in MODES or name == "provider":
            continue
        with pytest.raises(RuntimeError, match=r"Own\.__init__\(\) did not call"):
            if isinstance(member, property):
                getattr(storage, name)
            else:
                getattr(storage, name)(**{name: WORKING[name] for name in parameters(member)})
    with pytest.raises(RuntimeError, match="did not call"):
        connect(storage, WORKING["token"])


def test_uninitialized_storages_can_be_opened(opened):
    class Own(AwsSecretStorage):
        def __init__(self):
            self.own = 1

    storage = Own()
    storage.from_default_config(SECRET)
    assert storage.read_storage() == CONFIG


def test_uninitialized_providers_say_so():
    class Own(AwsConfigProvider):
        def __init__(self):
            pass

    assert "Own" in repr(Own())
    for call in (Own().read_config, lambda: Own().write_config("{}")):
        with pytest.raises(RuntimeError, match=r"Own\.__init__\(\) did not call"):
            call()


@pytest.mark.parametrize("mode", MODES)
def test_subclasses_are_returned(opened, mode):
    class Plain(AwsSecretStorage):
        pass

    class Overridden(AwsSecretStorage):
        pass

    class Method(AwsSecretStorage):
        pass

    def of_class(cls, *arguments, **more):
        storage = getattr(super(Overridden, cls), mode)(*arguments, **more)
        storage.own = 1
        return storage

    def of_object(self, *arguments, **more):
        self.own = 1
        return getattr(super(Method, self), mode)(*arguments, **more)

    setattr(Overridden, mode, classmethod(of_class))
    setattr(Method, mode, of_object)
    arguments = {name: WORKING[name] for name in parameters(getattr(AwsSecretStorage, mode))}
    assert type(getattr(Plain, mode)(**arguments)) is Plain
    storage = getattr(Overridden, mode)(**arguments)
    assert type(storage) is Overridden and storage.own == 1 and storage.read_storage() == CONFIG
    storage = Method()
    assert getattr(storage, mode)(**arguments) is None
    assert storage.own == 1 and storage.read_storage() == CONFIG


def test_methods_can_be_mocked():
    for specification in ({}, {"autospec": True}):
        with mock.patch.object(AwsSecretStorage, "from_default_config", **specification) as mocked:
            AwsSecretStorage.from_default_config("ksm-config")
        assert mocked.called
    assert AwsSecretStorage.from_default_config.__name__ == "from_default_config"
    mock.create_autospec(AwsSecretStorage)(SECRET).from_default_config(SECRET)
    mock.create_autospec(AwsSecretStorage).from_default_config(SECRET)
    assert "self" not in inspect.signature(AwsSecretStorage.from_default_config).parameters
    double = mock.create_autospec(AwsSecretStorage, instance=True)
    with pytest.raises(TypeError):
        double.set(ConfigKeys.KEY_URL)


def test_base_class_may_be_called(opened):
    class Own(AwsSecretStorage):
        def from_default_config(self, aws_key, fallback_to_default_profile=True):
            AwsSecretStorage.from_default_config(self, aws_key, fallback_to_default_profile)

    storage = Own()
    storage.from_default_config(SECRET)
    assert storage.read_storage() == CONFIG


def test_assignment_to_config_is_an_error(opened):
    """Keeper's class keeps a copy there, which its next write stores."""
    for storage in (TheirStorage(opened.arn), AwsSecretStorage(SECRET)):
        assert storage.config == CONFIG
    with pytest.raises(AttributeError, match=r"save_storage\(\)"):
        storage.config = {"hostname": CANARY}
    with pytest.raises(AttributeError):
        del storage.config
    assert storage.read_storage() == opened.stored() == CONFIG
