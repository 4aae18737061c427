from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Optional

from keeper_secrets_manager_core import SecretsManager
from keeper_secrets_manager_core.configkeys import ConfigKeys
from keeper_secrets_manager_core.storage import KeyValueStorage

from ._errors import StorageError
from ._storage import Config, Storage
from ._token import Token, parse

_CLIENT_ID = ConfigKeys.KEY_CLIENT_ID.value
_CLIENT_KEY = ConfigKeys.KEY_CLIENT_KEY.value
_PRIVATE_KEY = ConfigKeys.KEY_PRIVATE_KEY.value
_APP_KEY = ConfigKeys.KEY_APP_KEY.value
#: The keys of a client, which are stored, compared and adopted together.
_CREDENTIALS = (_CLIENT_ID, _PRIVATE_KEY, _APP_KEY, _CLIENT_KEY)
#: The number of times that another client may intervene.
_ROUNDS = 8
#: Pauses while waiting for another client with the same token, after Keeper has refused this one.
_WAITS = (0.0, 0.25, 0.5, 1.0, 2.0)


def connect(storage: Storage, token: Optional[str] = None, **arguments: Any) -> SecretsManager:
    """Returns Keeper's ``SecretsManager`` on the storage, and binds the storage first if necessary.

    ``arguments`` are those of ``SecretsManager``, except ``config``. A bind takes two writes: the key pair is stored before
    Keeper sees it, and the application key before any other request. If it is interrupted, or Keeper's reply is lost, call
    again with the same token. On a bound storage, the same token may be passed; another client's token is an error.

    The token may also come from the variable ``KSM_TOKEN``.
    """
    if "config" in arguments:
        raise TypeError("connect() takes the storage instead of the argument 'config'")
    if not isinstance(storage, Storage):
        raise TypeError(f"storage must be a Storage, as ksm_storage.open(url) returns, not {type(storage).__name__}")
    given, token = _token(token), None
    config = storage.refresh()
    refusal: Optional[Exception] = None
    for _ in range(_ROUNDS):
        if given and config.get(_CLIENT_ID) not in (None, "", given.client_id):
            raise _mismatch(_is_bound(config))
        if _is_bound(config):
            return _client(storage, config, arguments)
        refusal = _bind(storage, config, given, arguments)
        if refusal:
            config = _wait_for_another(storage, refusal)
        else:
            config = storage.read_storage()
    raise _spent() from refusal


def _token(given: Optional[str]) -> Optional[Token]:
    """Returns the token that was given, or that in the variable."""
    if not isinstance(given, (str, type(None))):
        raise TypeError(f"token must be a str, not {type(given).__name__}")
    variable = _variable()
    if not (given or "").strip():
        given = None
        return variable
    token, given = parse(given or ""), None
    # The SDK would read its key from the variable.
    if variable and variable.key != token.key:
        raise StorageError(
            "the token differs from that in the variable KSM_TOKEN: unset the variable, or omit the token", "invalid_argument"
        )
    return token


def _variable() -> Optional[Token]:
    if not os.environ.get("KSM_TOKEN", "").strip():
        return None
    try:
        return parse(os.environ["KSM_TOKEN"])
    except StorageError as error:
        raise StorageError(f"{error}; it is in the variable KSM_TOKEN", error.kind) from None


def _wait_for_another(storage: Storage, refusal: Exception) -> Config:
    """Waits for the configuration of another client with the same token, which may have been faster."""
    before = storage.read_storage()
    for wait in _WAITS:
        time.sleep(wait)
        config = storage.refresh()
        if _is_bound(config) or _credentials(config) != _credentials(before):
            return config
    raise _spent() from refusal


def _mismatch(is_bound: bool) -> StorageError:
    if is_bound:
        text = "the storage is bound with another token: omit the token, or remove the client with storage.delete_all() first"
    else:
        text = (
            "the storage contains the key pair of another token, whose bind was not completed: continue with that token, or "
            "remove its key pair with storage.delete_all() first"
        )
    return StorageError(text, "token_mismatch")


def _spent() -> StorageError:
    return StorageError(
        "Keeper does not accept the one-time token, and no other client has stored a binding: the token was used, has expired or "
        "belongs to another region; create a new one, and remove this token's key pair with storage.delete_all() before you use it",
        "token_spent",
    )


def _client(storage: Storage, config: Config, arguments: dict[str, Any]) -> SecretsManager:
    """Returns a client on a bound configuration. Does not rewrite a stored server key."""
    arguments = dict(arguments)
    for argument, key in (
        ("server_public_key", ConfigKeys.KEY_SERVER_PUBLIC_KEY),
        ("server_public_key_id", ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID),
    ):
        if argument in arguments and config.get(key.value) == arguments[argument]:
            del arguments[argument]
    return SecretsManager(config=storage, **arguments)


def _bind(storage: Storage, config: Config, token: Optional[Token], arguments: dict[str, Any]) -> Optional[Exception]:
    """Makes the two writes, unless another client makes the first. Returns the error if Keeper sends no application key."""
    if not token and not config.get(_CLIENT_KEY):
        raise StorageError(
            "the storage is not bound to Keeper, and no one-time token was given: pass token=, or set KSM_TOKEN; to complete a "
            "bind that was interrupted, use the same token again",
            "unbound",
        )
    binding = _Binding(storage, arguments)
    if config.get(_CLIENT_ID) and config.get(_PRIVATE_KEY):
        binding.resume(config, token.key if token else config[_CLIENT_KEY])
    elif not binding.begin(config, token or _stored(config)):
        return None
    return binding.finish()


def _stored(config: Config) -> Token:
    """The token in an unbound configuration that another SDK or a person has stored."""
    try:
        # Without a text, the SDK reads key and host from the configuration.
        return parse(str(config[_CLIENT_KEY]))._replace(text="")
    except StorageError as error:
        raise StorageError(f"invalid stored key {_CLIENT_KEY}: {error}", "invalid_config") from None


class _Bound(Exception):
    """Ends the SDK's call before its next request."""


class _Binding:
    def __init__(self, storage: Storage, arguments: dict[str, Any]) -> None:
        self._storage = storage
        self._arguments = dict(arguments)
        self._post: Callable[..., Any] = self._arguments.pop("custom_post_function", None) or SecretsManager.post_function

    def begin(self, config: Config, token: Token) -> bool:
        """Makes the SDK create a key pair, and stores it unless another one was stored meanwhile."""
        staged = _Staged({key: value for key, value in config.items() if key not in (_CLIENT_ID, _PRIVATE_KEY, _APP_KEY)})
        self._start(staged, token=token.text or None)
        if staged.get(ConfigKeys.KEY_CLIENT_ID) != token.client_id:
            raise StorageError(
                "Keeper's SDK reads another key than this token's from the variable KSM_TOKEN: unset it, and pass token=",
                "invalid_argument",
            )
        stored = False

        def store(current: Config) -> Config:
            nonlocal stored
            stored = _credentials(current) == _credentials(config)
            return staged.config if stored else current

        self._storage.update(store)
        return stored

    def resume(self, config: Config, key: str) -> None:
        """Starts with a stored key pair, which may have been sent to Keeper already."""
        # Presented as bound, because the SDK would otherwise create another key pair.
        staged = _Staged(config)
        self._start(staged)
        staged.set(ConfigKeys.KEY_CLIENT_KEY, key)

    def _start(self, staged: _Staged, **more: Any) -> None:
        arguments = {**self._arguments, **more}
        if "token" not in more:
            arguments.pop("hostname", None)
        self._staged = staged
        self._manager = SecretsManager(config=staged, custom_post_function=self._send, **arguments)

    def finish(self) -> Optional[Exception]:
        """Makes the SDK request the application key, and stores it. Returns the error if Keeper refuses this client."""
        before = dict(self._staged.config)
        try:
            self._manager.get_secrets()
        except _Bound:
            pass
        except Exception as error:
            if not self._staged.config.get(_APP_KEY):
                if _is_refusal(error):
                    return error
                raise
        bound = self._staged.config
        if not bound.get(_APP_KEY):
            return StorageError("Keeper's reply contains no application key", "token_spent")

        def store(current: Config) -> Config:
            if not current.get(_CLIENT_ID):
                return {**current, **bound}
            if any(current.get(key) != bound[key] for key in (_CLIENT_ID, _PRIVATE_KEY)):
                raise StorageError("another key pair has been stored during the bind", "conflict")
            changed = {key: value for key, value in bound.items() if before.get(key) != value}
            kept = {key: value for key, value in current.items() if key != _CLIENT_KEY}
            return {**kept, **changed}

        self._storage.update(store)
        return None

    def _send(self, *request: Any) -> Any:
        if self._staged.config.get(_APP_KEY):
            raise _Bound
        return self._post(*request)


class _Staged(KeyValueStorage):  # type: ignore[misc]  # Keeper's SDK has no types.
    """A configuration that is not stored yet."""

    def __init__(self, config: Config) -> None:
        self.config = dict(config)

    def read_storage(self) -> Config:
        return dict(self.config)

    def save_storage(self, updated_config: Config) -> None:
        self.config = dict(updated_config)

    def get(self, key: ConfigKeys) -> Any:
        return self.config.get(key.value)

    def set(self, key: ConfigKeys, value: Any) -> Config:
        self.config[key.value] = value
        return dict(self.config)

    def delete(self, key: ConfigKeys) -> Config:
        self.config.pop(key.value, None)
        return dict(self.config)

    def delete_all(self) -> Config:
        self.config.clear()
        return {}

    def contains(self, key: ConfigKeys) -> bool:
        return key.value in self.config

    def is_empty(self) -> bool:
        return not self.config


def _credentials(config: Config) -> list[Any]:
    return [config.get(key) for key in _CREDENTIALS]


def _is_bound(config: Config) -> bool:
    return all(config.get(key) for key in (_CLIENT_ID, _PRIVATE_KEY, _APP_KEY))


def _is_refusal(error: Exception) -> bool:
    """Returns True if Keeper refuses this client, and might accept another one with the same token."""
    text = str(error)
    return "access_denied" in text and "locked to a different ip address" not in text.lower()
