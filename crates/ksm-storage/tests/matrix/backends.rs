//! The backends that the enabled features provide.

use std::{
    env,
    sync::{Arc, OnceLock},
};

#[cfg(feature = "file")]
use ksm_storage_file::{Durability, testing::FileFixture};
#[cfg(feature = "memory")]
use ksm_storage_memory::testing::MemoryFixture;
use ksm_storage_testkit::{Case, Fixture};
use libtest_mimic::{Completion, Failed};

pub(crate) type Made = Result<Arc<dyn Fixture>, String>;

/// A backend whose fixture is created by the first test that needs it.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    /// True if the backend is fast enough for thousands of random histories.
    pub(crate) is_fast: bool,
    make: fn() -> Made,
    fixture: OnceLock<Made>,
    excluded: fn(&str) -> Option<&'static str>,
}

impl Backend {
    pub(crate) fn new(name: &'static str, make: fn() -> Made) -> Self {
        Self { name, is_fast: false, make, fixture: OnceLock::new(), excluded: |_| None }
    }

    pub(crate) fn fast(mut self) -> Self {
        self.is_fast = true;
        self
    }

    /// Excludes the cases for which `excluded` returns a reason.
    #[cfg(all(feature = "testing", feature = "aws-minimal"))]
    pub(crate) fn excluding(mut self, excluded: fn(&str) -> Option<&'static str>) -> Self {
        self.excluded = excluded;
        self
    }

    /// The fixture, or the reason why the backend is unavailable here.
    pub(crate) fn fixture(&self) -> Made {
        self.fixture.get_or_init(self.make).clone()
    }

    /// The reason why a case does not run on this backend.
    pub(crate) fn excluded(&self, case: Case) -> Option<&'static str> {
        (self.excluded)(case.name())
    }

    /// The result of a test on an unavailable backend.
    pub(crate) fn not_run(&self, missing: &str) -> Result<Completion, Failed> {
        let name = self.name;
        if env::var_os("KSM_CONFORMANCE_REQUIRE_ALL").is_some() {
            return Err(format!("{name} is not available: {missing}").into());
        }
        Ok(Completion::ignored_with(format!("NOT RUN: {name} is not available: {missing}")))
    }
}

pub(crate) fn all() -> Vec<Arc<Backend>> {
    let here = [
        #[cfg(feature = "memory")]
        Backend::new("memory", || Ok(Arc::new(MemoryFixture::new()))).fast(),
        // Without `fsync`; the backend's own tests also run most cases with it.
        #[cfg(feature = "file")]
        Backend::new("file", || Ok(Arc::new(FileFixture::new(Durability::Relaxed)))).fast(),
    ];
    #[cfg(all(feature = "testing", feature = "aws-minimal"))]
    let here = here.into_iter().chain(crate::aws::backends());
    here.into_iter().map(Arc::new).collect()
}
