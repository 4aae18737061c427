from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode, urlsafe_b64decode
from ipaddress import IPv4Address
from typing import NamedTuple, Optional, Union

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from keeper_secrets_manager_core.keeper_globals import keeper_servers

from ._errors import StorageError

#: URL-safe base64 of an AES-256 key, without padding.
_KEY_LENGTH = 43
#: The longest name that DNS allows.
_HOST_LENGTH = 253
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


class Token(NamedTuple):
    """A one-time token: ``KEY``, ``REGION:KEY``, ``HOST:KEY`` or ``IL5:KEY:ID:PUBLIC_KEY``."""

    #: The text to pass to the SDK.
    text: str
    #: Becomes the ``clientKey`` of an unbound configuration.
    key: str

    def __repr__(self) -> str:
        return "<token>"

    @property
    def client_id(self) -> str:
        """The client ID that the SDK derives from the token."""
        secret = urlsafe_b64decode(self.key + "=")
        return b64encode(hmac.new(secret, b"KEEPER_SECRETS_MANAGER_CLIENT_ID", hashlib.sha512).digest()).decode()


def parse(text: str) -> Token:
    """Parses a token as strictly as the Rust crate. Like the SDK, ignores white space around it. Errors do not quote it."""
    parsed = _parse(text.strip())
    # Tools print the local variables of frames that raise.
    del text
    if isinstance(parsed, str):
        raise StorageError(f"invalid one-time token: {parsed}", "invalid_token")
    return parsed


def _parse(text: str) -> Union[Token, str]:
    """Returns the token, or the reason why it is malformed."""
    if any(char.isspace() or not (char.isprintable() or char == "\ufeff") for char in text):
        return "it contains white space or a control character"
    parts = text.split(":", 4)
    is_il5 = len(parts) == 4 and parts[0].upper() == "IL5"
    if len(parts) > 2 and not is_il5:
        return "expected KEY, REGION:KEY or HOST:KEY"
    if is_il5 and not re.fullmatch("[A-Za-z0-9_-]{1,64}", parts[2]):
        return "the ID of its server key is malformed"
    if is_il5 and not _is_server_key(parts[3]):
        return "its server key is not a P-256 public key"
    host = _host(parts[0]) if len(parts) > 1 else ""
    if host is None:
        return "expected a region (US, EU, AU, GOV, JP, CA) or a host name before the colon"
    key = parts[min(1, len(parts) - 1)]
    if key.endswith("="):
        return 'its key ends in "="; a token has no padding'
    if not re.fullmatch("[A-Za-z0-9_-]*", key):
        return "its key is not URL-safe base64"
    if len(key) != _KEY_LENGTH:
        return "its key does not have 43 characters; it may have been cut"
    # The last two bits are not part of the key.
    if key[-1] not in "AEIMQUYcgkosw048":
        return "the last character of its key is wrong; it may have been cut"
    return Token(f"{host}:{key}" if len(parts) == 2 else text, key)


def _host(place: str) -> Optional[str]:
    """Returns the host of a region, or the given host if it is well-formed."""
    code = place.upper()
    region: Optional[str] = keeper_servers.get({"US_GOV": "GOV"}.get(code, code))
    if region:
        return region
    labels = place.removesuffix(".").split(".")
    if len(place) > _HOST_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        return None
    if labels[-1].isdecimal():
        return place if _is_address(place) else None
    return place if len(labels) > 1 or code == "LOCALHOST" else None


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_server_key(text: str) -> bool:
    if not re.fullmatch("[A-Za-z0-9_-]{87}", text):
        return False
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), urlsafe_b64decode(text + "="))
    except ValueError:
        return False
    return True
