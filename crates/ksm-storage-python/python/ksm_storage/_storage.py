from __future__ import annotations

import atexit
import copy
import json
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from typing import Any, Optional, TypeVar

from keeper_secrets_manager_core.configkeys import ConfigKeys
from keeper_secrets_manager_core.storage import KeyValueStorage

from . import _native
from ._arguments import not_initialized, text
from ._errors import StorageError
from ._native import Storage as NativeStorage

Config = dict[str, Any]

#: Keeper's logger. Its SDK disables it unless it is given a log level.
ksm_logger = logging.getLogger("ksm")
#: A child logger, which is not disabled with it.
logger = logging.getLogger("ksm.storage")

_KEY_ID = ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID.value

_T = TypeVar("_T")


def emit_records() -> None:
    """Passes the records collected by the native part to the logger."""
    for level, text in _native.take_records():
        logger.log(level, "%s", text)


def call(function: Callable[..., _T], *arguments: Any) -> _T:
    """Calls the native part."""
    try:
        return function(*arguments)
    finally:
        emit_records()


atexit.register(call, _native.end)


class Unpicklable:
    """An object that can be copied, but not sent to another process."""

    _remedy = ""

    def __copy__(self: _T) -> _T:
        duplicate = object.__new__(type(self))
        vars(duplicate).update(vars(self))
        return duplicate

    def __deepcopy__(self: _T, memo: dict[int, Any]) -> _T:
        duplicate = memo[id(self)] = copy.copy(self)
        for name, value in vars(self).items():
            vars(duplicate)[name] = value if isinstance(value, NativeStorage) else copy.deepcopy(value, memo)
        return duplicate

    def __reduce__(self) -> Any:
        raise TypeError(f"cannot pickle {type(self).__name__}: {self._remedy}")


class Storage(Unpicklable, KeyValueStorage):  # type: ignore[misc]  # Keeper's SDK has no types.
    """A configuration in a backend, for Keeper's ``SecretsManager`` and for programs of your own.

    Reads are answered from memory. Every write is one conditional write to the store: it is applied to the document
    stored at that moment, and repeated if another writer, in this or another process, is faster. A refused write raises
    :class:`StorageError`.

    Threads may share an object. A child process may use it after a fork. A copy shares the store.
    """

    _remedy = "open the storage in the other process"
    # Also valid if the constructor of a subclass does not call this one.
    _native: Optional[NativeStorage] = None
    #: The latest document, with its version.
    _parsed: tuple[str, Config] = ("", {})
    #: The ID of Keeper's public key that a read-only role could not store, and the version that it was meant for.
    _unstored_key_id: Optional[tuple[str, Any]] = None

    def __init__(self, native: NativeStorage) -> None:
        if not isinstance(native, NativeStorage):
            raise TypeError(f"native must be an open storage, not {type(native).__name__}: use ksm_storage.open(url)")
        self._native = native

    # Beyond Keeper's interface

    @property
    def version(self) -> str:
        """The store's name for the version that reads return. It changes with every write."""
        return self._opened().version

    @property
    def location(self) -> str:
        """The location, such as ``aws-sm://us-east-1/ksm-config``. It is not secret."""
        return self._opened().location

    def refresh(self) -> Config:
        """Reads the store again, and returns the configuration."""
        native = self._opened()
        call(native.refresh)
        return self._copy(native)

    def update(self, change: Callable[[Config], Optional[Mapping[str, Any]]]) -> Config:
        """Changes the whole configuration in one write, and returns it.

        ``change`` receives the stored configuration as a dict, and changes it or returns another one. It may run more than
        once, each time on the latest document. If it raises, nothing is stored. It must not use a storage itself, nor wait for a
        thread that does. With it, the call must end within 15 seconds.
        """
        if not callable(change):
            raise TypeError(f"change must be a function, not {type(change).__name__}")
        start, taken = time.monotonic(), 0.0

        def patch(text: str) -> tuple[list[tuple[str, str]], list[str]]:
            nonlocal taken
            config = json.loads(text)
            parts = list(config.values())
            begin = time.monotonic()
            try:
                returned = change(config)
            finally:
                taken += time.monotonic() - begin
            if returned is None:
                returned = config
            elif isinstance(returned, Coroutine):
                returned.close()
                raise TypeError("the change must not be async: await what it needs before the update")
            elif not isinstance(returned, Mapping):
                raise TypeError(f"the change returned {type(returned).__name__}; expected None or a dict")
            elif any(returned is part for part in (*parts, *config.values())):
                # The result of `setdefault` or `pop` at the end of a lambda; everything else would be removed.
                raise TypeError("the change returned a part of the configuration; expected None or all of it")
            return _difference(json.loads(text), returned)

        try:
            config: Config = json.loads(call(self._opened().update, patch))
        except StorageError as error:
            is_late = error.kind in ("timeout", "runtime") and error.outcome == "not_applied"
            if not is_late or taken < (time.monotonic() - start) / 2:
                raise
            raise StorageError(
                f"timed out: the function passed to update took {taken:.0f} s, and a call may take 15 s: it is too slow, or waits "
                "for another thread that uses this storage; nothing was written",
                "timeout",
            ) from None
        return config

    # Keeper's interface

    def read_storage(self) -> Config:
        return self._copy(self._current())

    def save_storage(self, updated_config: Mapping[str, Any]) -> None:
        """Stores the differences between the current configuration and ``updated_config``."""
        if not isinstance(updated_config, Mapping):
            raise TypeError(f"updated_config must be a dict, not {type(updated_config).__name__}")
        self._write(*_difference(self.read_storage(), updated_config))

    def get(self, key: ConfigKeys) -> Any:
        name = _of_member(key)
        value = self._shown(self._current()).get(name)
        return json.loads(json.dumps(value)) if isinstance(value, (dict, list)) else value

    def set(self, key: ConfigKeys, value: Any) -> Config:
        name = _of_member(key)
        return self._write([(name, _storable(name, _to_json(name, value)))], [])

    def delete(self, key: ConfigKeys) -> Config:
        return self._write([], [_of_member(key)])

    def delete_all(self) -> Config:
        call(self._opened().replace, "{}")
        return {}

    def contains(self, key: ConfigKeys) -> bool:
        name = _of_member(key)
        return name in self._shown(self._current())

    def is_empty(self) -> bool:
        return not self._shown(self._current())

    # The rest

    def __repr__(self) -> str:
        native = self._native
        return f"<{type(self).__name__} {native.location if native else 'not opened'}>"

    def _opened(self) -> NativeStorage:
        if self._native is None:
            raise not_initialized(self)
        return self._native

    def _current(self) -> NativeStorage:
        """Reads an empty configuration again, as Keeper's class does."""
        native = self._opened()
        if not self._shown(native):
            call(native.refresh)
        return native

    def _shown(self, native: NativeStorage) -> Config:
        """The current configuration, which must not be changed."""
        version, config = self._parsed
        if version != native.version:
            version, text = native.snapshot()
            config = json.loads(text)
            if self._unstored_key_id and self._unstored_key_id[0] == version:
                config[_KEY_ID] = self._unstored_key_id[1]
            else:
                self._unstored_key_id = None
            self._parsed = version, config
        return config

    def _copy(self, native: NativeStorage) -> Config:
        config: Config = json.loads(json.dumps(self._shown(native)))
        return config

    def _write(self, set: list[tuple[str, str]], remove: list[str]) -> Config:
        native = self._opened()
        try:
            config: Config = json.loads(call(native.apply, set, remove))
        except StorageError as error:
            is_key_id = not remove and [key for key, _ in set] == [_KEY_ID]
            if not is_key_id or error.kind not in ("access_denied", "read_only") or error.outcome != "not_applied":
                raise
            # Keeper requests another public key, and the SDK continues once it is set. A role that may only
            # read must not fail for that: the next start asks again.
            logger.warning("the ID of Keeper's public key is not stored: %s", error)
            version, _ = native.snapshot()
            self._unstored_key_id = version, json.loads(set[0][1])
            self._parsed = "", {}
            return self._copy(native)
        if self._unstored_key_id:
            self._unstored_key_id, self._parsed = None, ("", {})
        return config


def open(url: str) -> Storage:
    """Opens the storage of a URL: ``aws-sm:NAME``, ``aws-sm://REGION/NAME``, ``file:PATH``, ``env:NAME`` or ``memory:``.

    Parameters follow a question mark, as in ``aws-sm:ksm-config?profile=ops&read_only=true``.
    """
    return Storage(call(_native.Storage.open_url, text("url", url)))


def _to_json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        # Its text names a type or a limit, and quotes no text.
        raise kind(f"the value of {name} cannot be stored: {error}") from None
    except RecursionError:
        raise ValueError(f"the value of {name} cannot be stored: it is nested too deeply") from None


def _storable(name: str, value: str) -> str:
    """Returns a JSON value, unless it contains text that Python's JSON can represent, but UTF-8 cannot."""
    if "\\ud" in value:
        text(f"value of {name}", json.dumps(json.loads(value), ensure_ascii=False))
    return value


def _of_member(key: ConfigKeys) -> str:
    """Returns the stored name of a member of an enumeration."""
    if isinstance(key, Enum) and isinstance(key.value, str):
        return text("key", key.value)
    raise TypeError(f"wrong key: expected a member of ConfigKeys, not {type(key).__name__}")


def _name(key: Any) -> str:
    """Returns the stored name of a key in a dict, which may be a string or a member of an enumeration."""
    if isinstance(key, str) and not isinstance(key, Enum):
        return key
    if isinstance(key, Enum) and isinstance(key.value, str):
        return key.value
    raise TypeError(f"wrong key in a configuration: expected a str or a member of ConfigKeys, not {type(key).__name__}")


def _difference(before: Mapping[str, Any], after: Mapping[Any, Any]) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns the keys to set and the keys to remove."""
    old = {key: _to_json(key, value) for key, value in before.items()}
    new: dict[str, str] = {}
    for key, value in after.items():
        name = _name(key)
        encoded, unchanged = _to_json(name, value), (None, old.get(name))
        if name in new and encoded not in (*unchanged, new[name]) and new[name] not in unchanged:
            raise ValueError(f"the key {name} occurs twice, as a str and in ConfigKeys, with different values")
        # Beside the stored value under its string, a value under the member of ConfigKeys is the change.
        if new.get(name) in unchanged:
            new[name] = encoded
    changed = [(text("key", key), _storable(key, value)) for key, value in new.items() if old.get(key) != value]
    return changed, [text("key", key) for key in old if key not in new]
