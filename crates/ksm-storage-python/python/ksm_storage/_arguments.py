"""Checks of arguments. Errors name the parameter, and quote no value."""

from __future__ import annotations

import re
from typing import Any, Optional

from ._errors import StorageError

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def text(parameter: str, value: Any) -> str:
    """Returns the value as a plain ``str``, even if it is an instance of a subclass."""
    if not isinstance(value, str):
        raise TypeError(f"{parameter} must be a str, not {type(value).__name__}")
    # Not by encoding it, because the exception holds the text.
    if _LONE_SURROGATE.search(value):
        raise StorageError(f"invalid {parameter}: it contains a lone surrogate, which is not a valid character", "invalid_argument")
    return str.__str__(value)


def optional_text(parameter: str, value: Any) -> str:
    """Returns a text, or the empty string for None: both mean that it is unset."""
    return "" if value is None else text(parameter, value)


def flag(parameter: str, value: Optional[bool]) -> bool:
    """Returns a flag. None means False, as for Keeper's class."""
    if not isinstance(value, (bool, int, type(None))):
        raise TypeError(f"{parameter} must be a bool, not {type(value).__name__}")
    return bool(value)


def not_initialized(instance: object) -> RuntimeError:
    name = type(instance).__name__
    return RuntimeError(f"{name}.__init__() did not call super().__init__()")
