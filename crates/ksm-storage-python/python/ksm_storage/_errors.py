from __future__ import annotations

from typing import Optional


class StorageError(ValueError):
    """A failed operation on a storage. The message is one line, and quotes no value of the configuration."""

    __module__ = "ksm_storage"

    #: The category of the error, such as ``"access_denied"``: ``ErrorKind::as_str`` of the Rust crate lists them.
    kind: str
    #: The outcome of the write: ``"not_applied"``, ``"applied"``, or ``"unknown"`` if it may still take effect.
    outcome: str
    #: True if the same call may succeed later. After the outcome ``"unknown"``, it may write a second time.
    retryable: bool
    #: The version of a foreign writer that this write displaced, if ``kind`` is ``"displaced"``.
    displaced: Optional[str]

    def __init__(
        self,
        message: str,
        kind: str = "unexpected",
        outcome: str = "not_applied",
        retryable: bool = False,
        displaced: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.outcome = outcome
        self.retryable = retryable
        self.displaced = displaced
