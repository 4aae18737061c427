"""The configuration of a Keeper Secrets Manager client in AWS Secrets Manager, a file or memory.

``ksm_storage.aws`` has the drop-in for Keeper's own classes.
"""

from ._connect import connect
from ._errors import StorageError
from ._native import __version__
from ._storage import Storage, open

__all__ = ["Storage", "StorageError", "__version__", "connect", "open"]
