//! The class `ksm_storage._native.Storage`.

use std::{process, sync::Arc};

use arc_swap::ArcSwap;
use ksm_storage::{ConfigDocument, ConfigStorage, Error, Schemes, blocking};
use pyo3::{prelude::*, types::PyString};

use crate::{
    call::{call, call_with_change, driver},
    open::AwsSettings,
    patch::{Patch, json},
};

/// A storage, opened by this process or an ancestor of it.
#[pyclass(frozen, weakref, module = "ksm_storage._native")]
pub(crate) struct Storage(ArcSwap<Opened>);

struct Opened {
    storage: blocking::ConfigStorage,
    process: u32,
}

impl Opened {
    fn new(storage: blocking::ConfigStorage) -> Self {
        Self { storage, process: process::id() }
    }
}

#[pymethods]
impl Storage {
    /// Opens the storage named by a URL.
    #[staticmethod]
    fn open_url(py: Python<'_>, url: &str) -> PyResult<Self> {
        let opened = call(py, || {
            let source = Schemes::default().source(&url.parse()?)?;
            driver().open(ConfigStorage::builder(source).open())
        })?;
        Ok(Self(ArcSwap::from_pointee(Opened::new(opened))))
    }

    /// Opens an AWS Secrets Manager secret.
    #[staticmethod]
    fn open_aws(py: Python<'_>, settings: AwsSettings) -> PyResult<Self> {
        let opened = call(py, move || driver().open(settings.builder()?.open()))?;
        Ok(Self(ArcSwap::from_pointee(Opened::new(opened))))
    }

    #[getter]
    fn location(&self) -> String {
        self.0.load().storage.location().to_string()
    }

    #[getter]
    fn version<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, self.0.load().storage.snapshot().version().as_str())
    }

    /// The version, and the document in JSON.
    fn snapshot<'py>(&self, py: Python<'py>) -> (Bound<'py, PyString>, Bound<'py, PyString>) {
        let snapshot = self.0.load().storage.snapshot();
        (PyString::new(py, snapshot.version().as_str()), PyString::new(py, &json(snapshot.document())))
    }

    /// Reads the store again.
    fn refresh(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.live()?.storage.refresh().map(drop))
    }

    /// Sets keys to JSON values and removes others, in one write. Returns the stored document.
    fn apply<'py>(
        &self,
        py: Python<'py>,
        set: Vec<(String, String)>,
        remove: Vec<String>,
    ) -> PyResult<Bound<'py, PyString>> {
        let patch = Patch::new(set, remove);
        let document = call(py, move || {
            self.live()?.storage.update(move |document| {
                patch.apply(document)?;
                Ok::<_, Error>(document.clone())
            })
        })?;
        Ok(PyString::new(py, &json(&document)))
    }

    /// Like `apply`, with the function's result for the document that is then stored.
    fn update<'py>(&self, py: Python<'py>, function: Py<PyAny>) -> PyResult<Bound<'py, PyString>> {
        let document = call_with_change(py, function, |change| {
            self.live()?.storage.update(move |document| {
                change.apply(document)?;
                Ok::<_, Error>(document.clone())
            })
        })?;
        Ok(PyString::new(py, &json(&document)))
    }

    /// Replaces whatever is stored with a JSON document.
    fn replace(&self, py: Python<'_>, document: &str) -> PyResult<()> {
        call(py, || {
            let document = ConfigDocument::parse(document.as_bytes())?;
            self.live()?.storage.replace(document)
        })
    }
}

impl Storage {
    /// The handle of this process. After a fork, the storage is reopened.
    fn live(&self) -> Result<Arc<Opened>, Error> {
        let opened = self.0.load_full();
        if opened.process == process::id() {
            return Ok(opened);
        }
        let reopened = Arc::new(Opened::new(driver().reopen(&opened.storage)?));
        self.0.store(Arc::clone(&reopened));
        Ok(reopened)
    }
}
