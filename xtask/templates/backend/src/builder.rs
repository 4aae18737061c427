use crate::TemplateBackend;

/// Settings of a [`TemplateBackend`]. Setters never fail: what is wrong with a setting is told when the storage is opened.
///
/// ```
/// use ksm_storage_template::TemplateBackend;
///
/// let backend = TemplateBackend::builder("address").build();
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct TemplateBuilder {
    address: String,
}

impl TemplateBuilder {
    pub(crate) fn new(address: String) -> Self {
        Self { address }
    }

    /// The backend.
    pub fn build(self) -> TemplateBackend {
        TemplateBackend::from_parts(self.address)
    }
}
