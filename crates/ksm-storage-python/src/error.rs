//! Errors as Python exceptions.

use ksm_storage::Error;
use pyo3::{prelude::*, sync::PyOnceLock, types::PyType};

/// The class `ksm_storage.StorageError`. It is defined in Python, so that it can be pickled.
pub(crate) fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "ksm_storage._errors", "StorageError")
}

/// An error as an exception.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let fields = (
        error.to_string(),
        error.kind().as_str(),
        error.outcome().as_str(),
        error.is_retryable(),
        error.displaced().map(ToString::to_string),
    );
    let instance = class(py).and_then(|class| class.call1(fields));
    instance.map_or_else(|error| error, PyErr::from_value)
}
