"""Replacements for Keeper's AWS classes, with the same names, signatures and behaviour: only the import line changes.

    from ksm_storage.aws import AwsSecretStorage
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from enum import Enum
from functools import update_wrapper, wraps
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, Optional, TypeVar, overload
from weakref import WeakValueDictionary

from . import _native
from ._arguments import flag, not_initialized, optional_text, text
from ._errors import StorageError
from ._storage import Config, Storage, Unpicklable, call, ksm_logger

__all__ = ["DEFAULT_AWS_KEY_NAME", "AwsConfigProvider", "AwsConfigType", "AwsSecretStorage"]

DEFAULT_AWS_KEY_NAME = "ksm-config"


class AwsConfigType(Enum):
    """The source of credentials and region."""

    EC2INSTANCE = 1
    SESSION = 2
    PROFILE = 3
    CREDENTIALS = 4


class _Settings(NamedTuple):
    """The settings, with the names that the native part expects."""

    mode: str
    key: str
    profile: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    region: str = ""
    fallback: bool = True

    def __repr__(self) -> str:
        return f"<{self.mode} settings>"


#: Storages by process, environment and settings. Objects with the same ones share a storage, with its clients and connections.
_open: WeakValueDictionary[tuple[Any, ...], _native.Storage] = WeakValueDictionary()


def _open_native(settings: _Settings) -> _native.Storage:
    """Returns a freshly read storage."""
    key = (os.getpid(), settings, _environment())
    shared = _open.get(key)
    if shared is not None:
        try:
            call(shared.refresh)
            return shared
        except StorageError as error:
            # The credentials in a file may have changed.
            if error.kind not in ("access_denied", "credentials"):
                raise
            _open.pop(key, None)
    try:
        native = call(_native.Storage.open_aws, settings)
    except StorageError as error:
        raise _with_remedy(error) from None
    _open[key] = native
    return native


def _environment() -> bytes:
    """A digest of the variables that matter. Their values are secrets, and tracebacks may show what a frame holds."""
    variables = sorted(item for item in os.environ.items() if _matters(item[0]))
    return sha256(repr(variables).encode()).digest()


def _with_remedy(error: StorageError) -> StorageError:
    """Adds the remedy for certificates that boto3 would have found."""
    message, ours = str(error), os.environ.get("AWS_CA_BUNDLE")
    if "certificate" in message and os.environ.get("REQUESTS_CA_BUNDLE") and not ours:
        message += "; REQUESTS_CA_BUNDLE is not read: set AWS_CA_BUNDLE to its value"
    elif "no root certificates" in message:
        message += "; `python -m certifi` prints the name of one"
    return StorageError(message, error.kind, error.outcome, error.retryable, error.displaced)


def _matters(variable: str) -> bool:
    return variable.startswith(("AWS_", "KSM_", "SSL_CERT_")) or variable.upper().endswith("_PROXY") or variable == "HOME"


class _Text:
    """A setting that is checked when it is assigned. None and the empty string mean that it is unset."""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> _Text: ...
    @overload
    def __get__(self, instance: object, owner: Optional[type[Any]] = None) -> str: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else vars(instance).get(self._name, "")

    def __set__(self, instance: Any, value: Optional[str]) -> None:
        vars(instance)[self._name] = optional_text(self._name, value)


class AwsConfigProvider(Unpicklable):
    """The value of one secret as text, as used by Keeper's command line.

    The mode is EC2 until one of the methods ``from_…`` chooses another. These methods perform no I/O.
    """

    _remedy = "it may hold credentials; create it in the other process"
    key_name = _Text()
    aws_profile = _Text()
    aws_access_key_id = _Text()
    aws_secret_access_key = _Text()
    region = _Text()

    def __init__(self, aws_key: Optional[str]) -> None:
        self._reset(aws_key, AwsConfigType.EC2INSTANCE, True)

    def from_ec2instance_config(self, aws_key: Optional[str], fallback_to_default_profile: Optional[bool] = True) -> None:
        """Uses the role and region of the EC2 instance. Without a role, uses the default chain if the fallback is allowed."""
        self._reset(aws_key, AwsConfigType.EC2INSTANCE, fallback_to_default_profile)

    def from_default_config(self, aws_key: Optional[str], fallback_to_default_profile: Optional[bool] = True) -> None:
        """Uses the default chain: variables, profile, web identity, container, instance."""
        self._reset(aws_key, AwsConfigType.SESSION, fallback_to_default_profile)

    def from_profile_config(
        self, aws_key: Optional[str], profile: Optional[str], fallback_to_default_profile: Optional[bool] = True
    ) -> None:
        """Uses the named profile. A profile that does not exist is an error. None means the default chain."""
        self._reset(aws_key, AwsConfigType.PROFILE, fallback_to_default_profile)
        self.aws_profile = optional_text("profile", profile)

    def from_custom_config(
        self,
        aws_key: Optional[str],
        aws_access_key_id: str,
        aws_secret_access_key: str,
        region: Optional[str],
        fallback_to_default_profile: Optional[bool] = True,
    ) -> None:
        """Uses only these credentials. The region may be None if the key is an ARN."""
        self._reset(aws_key, AwsConfigType.CREDENTIALS, fallback_to_default_profile)
        # None is an error, unlike for boto3, which would search for other credentials.
        self.aws_access_key_id = text("aws_access_key_id", aws_access_key_id)
        self.aws_secret_access_key = text("aws_secret_access_key", aws_secret_access_key)
        self.region = optional_text("region", region)

    def read_config(self) -> str:
        """Reads the secret, and returns the configuration as JSON."""
        return self._open().snapshot()[1]

    def write_config(self, config: str) -> str:
        """Replaces the stored configuration. Returns an empty string, or the reason why nothing was stored."""
        try:
            call(self._open().replace, text("config", config))
        except StorageError as error:
            return str(error)
        return ""

    def _open(self) -> _native.Storage:
        return _open_native(self._settings())

    def _settings(self) -> _Settings:
        if "_given_key" not in vars(self):
            raise not_initialized(self)
        if not isinstance(self.config_type, AwsConfigType):
            given = type(self.config_type)
            raise TypeError(f"config_type must be a ksm_storage.aws.AwsConfigType, not {given.__module__}.{given.__name__}")
        # The native part resolves an empty key, so that errors name the variable.
        key = self._given_key if self.key_name == _key_name(self._given_key) else self.key_name
        if self.config_type == AwsConfigType.EC2INSTANCE:
            return _Settings("ec2", key, fallback=flag("fallback", self.fallback))
        if self.config_type == AwsConfigType.CREDENTIALS:
            return _Settings("custom", key, "", self.aws_access_key_id, self.aws_secret_access_key, self.region)
        if self.config_type == AwsConfigType.PROFILE and self.aws_profile:
            return _Settings("profile", key, profile=self.aws_profile)
        return _Settings("default", key)

    def _reset(self, aws_key: Optional[str], config_type: AwsConfigType, fallback: Optional[bool]) -> None:
        self._given_key = optional_text("aws_key", aws_key)
        self.key_name = _key_name(self._given_key)
        self.config_type = config_type
        self.fallback = flag("fallback_to_default_profile", fallback)
        self.aws_profile = ""
        self.aws_access_key_id = ""
        self.aws_secret_access_key = ""
        named = re.match(r"arn:[^:]*:secretsmanager:([^:]+):", self.key_name)
        self.region = named.group(1) if named else ""


def _key_name(given: str) -> str:
    # A variable that is not in UTF-8 is an error later, which names it.
    variable = os.environ.get("KSM_AWS_SECRET", "").strip().encode(errors="replace").decode()
    return given or variable or DEFAULT_AWS_KEY_NAME


if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    _P = ParamSpec("_P")
    _S = TypeVar("_S", bound="AwsSecretStorage")

    class _Mode(Generic[_P]):
        def __init__(self, method: Callable[Concatenate[Any, _P], None]) -> None: ...
        @overload
        def __get__(self, instance: None, owner: type[_S]) -> Callable[_P, _S]: ...
        @overload
        def __get__(self, instance: AwsSecretStorage, owner: Optional[type[Any]] = None) -> Callable[_P, None]: ...
        def __get__(self, instance: Any, owner: Any = None) -> Any: ...
        def __call__(self, *args: Any, **kwargs: Any) -> None: ...

else:

    class _Mode:
        """A method that reopens an object or, called on the class, returns a new one."""

        def __init__(self, method):
            self._method = method
            update_wrapper(self, method)

        def __get__(self, instance, owner=None):
            method = self._method
            if instance is not None:
                return method.__get__(instance, owner)

            @wraps(method)
            def open_new(*args, **kwargs):
                if args and isinstance(args[0], AwsSecretStorage):
                    # A subclass calls the method of its base class.
                    return method(*args, **kwargs)
                storage = owner.__new__(owner)
                method(storage, *args, **kwargs)
                return storage

            signature = inspect.signature(method)
            open_new.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
            return open_new

        def __call__(self, *args, **kwargs):
            # `mock` expects that members of a class which are no data can be called.
            return self._method(*args, **kwargs)


class AwsSecretStorage(Storage):
    """A configuration in one secret of AWS Secrets Manager.

    ``AwsSecretStorage("ksm-config")`` is for EC2. On other platforms, use the methods ``from_…``: called on an object, they
    reopen it; called on the class, they return a new object of it, without calling ``__init__``.

    An empty ``aws_key``, or None, means the value of ``KSM_AWS_SECRET``, or ``ksm-config`` if that is unset. The secret must
    exist, with at least ``{}`` as its value.
    """

    provider: AwsConfigProvider

    def __init__(self, aws_key: Optional[str] = "", fallback_to_default_profile: Optional[bool] = True) -> None:
        """Opens the secret with the role and region of the EC2 instance.

        If no key is given, a missing region, secret, credential or permission is reported on first use: outside EC2, a call
        of one of the methods ``from_…`` is expected to follow.
        """
        provider = AwsConfigProvider(aws_key)
        provider.from_ec2instance_config(aws_key, fallback_to_default_profile)
        try:
            self._use(provider)
        except StorageError as error:
            early = error.kind in ("access_denied", "credentials", "not_found")
            if aws_key or not (early or "Failed to determine AWS region" in str(error)):
                raise
            ksm_logger.debug("not opened yet: %s", error)

    @_Mode
    def from_default_config(self, aws_key: Optional[str], fallback_to_default_profile: Optional[bool] = True) -> None:
        """Uses the default chain of credentials, as on Lambda, ECS, EKS and workstations."""
        provider = AwsConfigProvider(aws_key)
        provider.from_default_config(aws_key, fallback_to_default_profile)
        self._use(provider)

    @_Mode
    def from_profile_config(
        self, aws_key: Optional[str], profile: Optional[str], fallback_to_default_profile: Optional[bool] = True
    ) -> None:
        """Uses the named profile. A profile that does not exist is an error. None means the default chain."""
        provider = AwsConfigProvider(aws_key)
        provider.from_profile_config(aws_key, profile, fallback_to_default_profile)
        self._use(provider)

    @_Mode
    def from_ec2instance_config(self, aws_key: Optional[str], fallback_to_default_profile: Optional[bool] = True) -> None:
        """Uses the role of the EC2 instance and its region."""
        provider = AwsConfigProvider(aws_key)
        provider.from_ec2instance_config(aws_key, fallback_to_default_profile)
        self._use(provider)

    @_Mode
    def from_custom_config(
        self,
        aws_key: Optional[str],
        aws_access_key_id: str,
        aws_secret_access_key: str,
        region: Optional[str],
        fallback_to_default_profile: Optional[bool] = True,
    ) -> None:
        """Uses only these credentials. The region may be None if the key is an ARN."""
        provider = AwsConfigProvider(aws_key)
        provider.from_custom_config(
            aws_key, aws_access_key_id, aws_secret_access_key, region, fallback_to_default_profile
        )
        self._use(provider)

    @property
    def config(self) -> Config:
        """A copy of the configuration."""
        return self.read_storage()

    @config.setter
    def config(self, config: NoReturn) -> NoReturn:
        raise AttributeError("config is a copy: store a configuration with save_storage(), or change it with update()")

    def _use(self, provider: AwsConfigProvider) -> None:
        self._native, self._parsed, self._unstored_key_id = None, ("", {}), None
        self.provider = provider
        self._native = provider._open()

    def _opened(self) -> _native.Storage:
        if self._native is None and "provider" in vars(self):
            self._native = self.provider._open()
        return super()._opened()
