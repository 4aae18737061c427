//! Tags.

use serde_json::{Value as Json, json};

use super::{request::Request, secret::Record};
use crate::{Action, ApiError, Emulator};

impl Emulator {
    pub(super) fn tag(&self, request: Request<'_>) -> Result<Json, ApiError> {
        self.change(Action::TagResource, request, |secret| {
            secret.writable()?;
            set_tags(secret, &request.structures("Tags"));
            Ok(json!({}))
        })
    }

    pub(super) fn untag(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let keys = request.texts("TagKeys");
        self.change(Action::UntagResource, request, |secret| {
            secret.writable()?;
            if let Some(tags) = &mut secret.tags {
                tags.retain(|(key, _)| !keys.contains(key));
            }
            Ok(json!({}))
        })
    }
}

/// Adds tags, replacing those with the same keys.
pub(super) fn set_tags(secret: &mut Record, tags: &[Request<'_>]) {
    if tags.is_empty() {
        return;
    }
    let present = secret.tags.get_or_insert_default();
    for tag in tags {
        let (key, value) = (tag.text("Key").unwrap_or_default(), tag.text("Value").unwrap_or_default());
        match present.iter_mut().find(|(present, _)| present == key) {
            Some((_, present)) => value.clone_into(present),
            None => present.push((key.to_owned(), value.to_owned())),
        }
    }
}

pub(super) fn tag_list(tags: &[(String, String)]) -> Json {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}
