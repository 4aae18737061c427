from __future__ import annotations

from typing import Optional


class StorageError(ValueError):
    """A failed operation on a storage. The message is one line, and quotes no value of the configuration."""

    __module__ = "ksm_storage"

    #: The category of the error, such as ``"access_denied"``: ``ErrorKind::as_str`` of the Rust crate lists them.
    kind: str = "unexpected"
    #: The outcome of the write: ``"not_applied"``, ``"applied"``, or ``"unknown"`` if it may still take effect.
    outcome: str = "not_applied"
    #: True if the same call may succeed later. After the outcome ``"unknown"``, it may write a second time.
    retryable: bool = False
    #: The version of a foreign writer that this write displaced, if ``kind`` is ``"displaced"``.
    displaced: Optional[str] = None

    def __init__(
        self,
        message: str,
        kind: Optional[str] = None,
        outcome: Optional[str] = None,
        retryable: Optional[bool] = None,
        displaced: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind or self.kind
        self.outcome = outcome or self.outcome
        self.retryable = bool(retryable)
        self.displaced = displaced
