//! Descriptions of secrets, individually and in lists.

use std::{cmp::Ordering, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};

use super::{
    replicas::{InReply, replication_status},
    request::{Request, date, object},
    secret::{DAY, Record},
    tags::tag_list,
};
use crate::{Action, ApiError, Emulator};

/// The default length of a page.
const PAGE: i64 = 100;

impl Emulator {
    pub(crate) fn describe(&self, id: &str) -> Result<Record, ApiError> {
        let state = self.lock();
        state.permit(Action::DescribeSecret)?;
        state.find(id).cloned()
    }

    pub(super) fn list(&self, request: Request<'_>) -> Result<Json, ApiError> {
        let state = self.lock();
        state.permit(Action::ListSecrets)?;
        let (filters, planned) = (request.structures("Filters"), request.flag("IncludePlannedDeletion"));
        let is_listed = |secret: &&Record| {
            (planned || secret.deletion.is_none()) && filters.iter().all(|&filter| matches(secret, filter))
        };
        let mut listed: Vec<_> = state.secrets.iter().filter(is_listed).collect();
        listed.sort_by(|a, b| match request.text("SortBy") {
            Some("name") => a.name.cmp(&b.name),
            Some("last-accessed-date") => a.accessed.cmp(&b.accessed),
            Some("last-changed-date") => a.changed.cmp(&b.changed),
            Some(_) => a.created.cmp(&b.created),
            // In order of creation, even if dates are equal.
            None => Ordering::Equal,
        });
        if request.text("SortOrder") == Some("desc") {
            listed.reverse();
        }
        let entries: Vec<_> = listed.into_iter().map(|secret| secret.entry(self.region())).collect();
        let (secrets, next) = page(request, &entries)?;
        Ok(object([("SecretList", Some(secrets)), ("NextToken", next)]))
    }
}

impl Record {
    /// Records the day on which a version was read, as the service does.
    pub(super) fn access(&mut self, version: &str, now: Duration) {
        let day = Duration::from_secs(now.as_secs() - now.as_secs() % DAY.as_secs());
        self.accessed = Some(day);
        if let Some(version) = self.versions.iter_mut().find(|read| read.id == version) {
            version.accessed = Some(day);
        }
    }

    /// The primary region, which is reported once there are replicas.
    pub(super) fn primary_region(&self, region: &str) -> Option<String> {
        let own = || (!self.replicas.is_empty()).then(|| region.to_owned());
        self.primary_region.clone().or_else(own)
    }

    /// The secret as shown by `DescribeSecret`.
    pub(super) fn description(&self, region: &str) -> Json {
        let mut description = self.properties(region, "VersionIdsToStages");
        if let Some(status) = replication_status(self, InReply::OfDescription) {
            description["ReplicationStatus"] = status;
        }
        description
    }

    /// The secret as shown by `ListSecrets`.
    fn entry(&self, region: &str) -> Json {
        self.properties(region, "SecretVersionsToStages")
    }

    fn properties(&self, region: &str, versions: &str) -> Json {
        let labelled = self.versions.iter().filter(|version| !version.labels.is_empty());
        let stages: Map<_, _> = labelled.map(|version| (version.id.clone(), json!(version.labels))).collect();
        object([
            ("ARN", Some(json!(self.arn))),
            ("Name", Some(json!(self.name))),
            ("Description", (!self.description.is_empty()).then(|| json!(self.description))),
            ("KmsKeyId", self.kms_key_id.as_ref().map(|key| json!(key))),
            ("CreatedDate", Some(date(self.created))),
            ("LastChangedDate", Some(date(self.changed))),
            ("LastAccessedDate", self.accessed.map(date)),
            ("DeletedDate", self.deletion.map(date)),
            ("Tags", self.tags.as_ref().map(|tags| tag_list(tags))),
            (versions, (!stages.is_empty()).then_some(Json::Object(stages))),
            ("PrimaryRegion", self.primary_region(region).map(Json::from)),
        ])
    }
}

/// A page of a list, and the token for the next one.
pub(super) fn page(request: Request<'_>, list: &[Json]) -> Result<(Json, Option<Json>), ApiError> {
    let invalid = || ApiError::new("InvalidNextTokenException", "The NextToken value is invalid.");
    let start = match request.text("NextToken") {
        None => 0,
        Some(token) => {
            let bytes = STANDARD.decode(token).map_err(|_| invalid())?;
            let start = std::str::from_utf8(&bytes).ok().and_then(|start| start.parse().ok());
            start.filter(|&start: &usize| start <= list.len()).ok_or_else(invalid)?
        }
    };
    let length = usize::try_from(request.number("MaxResults").unwrap_or(PAGE)).unwrap_or_default();
    let end = start.saturating_add(length).min(list.len());
    let next = (end < list.len()).then(|| STANDARD.encode(end.to_string()).into());
    Ok((list[start..end].into(), next))
}

/// Returns true if the secret matches one of the filter's values. A value after an exclamation mark must not match.
fn matches(secret: &Record, filter: Request<'_>) -> bool {
    let key = filter.text("Key").unwrap_or("all");
    filter.texts("Values").iter().any(|value| match value.strip_prefix('!') {
        Some(value) => !has(secret, key, value),
        None => has(secret, key, value),
    })
}

/// The rules of each filter key: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html>
fn has(secret: &Record, key: &str, value: &str) -> bool {
    let tags = || secret.tags.iter().flatten();
    match key {
        "name" => secret.name.starts_with(value),
        "description" => has_words(&secret.description, value),
        "tag-key" => tags().any(|(key, _)| key.starts_with(value)),
        "tag-value" => tags().any(|(_, text)| text.starts_with(value)),
        "primary-region" => secret.primary_region.as_ref().is_some_and(|region| region.starts_with(value)),
        // No emulated secret is managed by another service.
        "owning-service" => false,
        _ => {
            let tags = tags().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
            let texts = [secret.name.as_str(), &secret.description].into_iter().chain(tags);
            has_words(&texts.collect::<Vec<_>>().join(" "), value)
        }
    }
}

/// Returns true if each word of the value begins a word of the text, ignoring case.
fn has_words(text: &str, value: &str) -> bool {
    let (text, value) = (text.to_lowercase(), value.to_lowercase());
    value.split_whitespace().all(|wanted| text.split_whitespace().any(|word| word.starts_with(wanted)))
}
