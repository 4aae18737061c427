//! The native part of the Python package `ksm-storage`: `ksm_storage._native`.
//!
//! Python code runs only on threads that called in: [`call`] waits without the GIL, and acquires it to check for
//! signals and to run a change that is a Python function. Runtime threads never acquire it, so the interpreter's exit
//! does not wait for them.

mod call;
mod error;
mod log;
mod open;
mod patch;
mod storage;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    use super::{Bound, PyModule, PyModuleMethods, PyResult, error, log};
    #[pymodule_export]
    use super::{call::end, log::take_records, storage::Storage};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        log::install();
        // During the interpreter's exit, it can no longer be imported.
        error::class(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
