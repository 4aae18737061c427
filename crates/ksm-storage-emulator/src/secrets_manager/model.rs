//! The API model: request members, their types and constraints.
//!
//! The table repeats the input shapes of the service's model, `service-2.json` of botocore.

use super::secret::MAX_VALUE;
use crate::Action;

/// A member of a request or of a nested structure.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Shape {
    Text(Text),
    Blob { min: usize, max: usize },
    Integer { min: i64, max: i64 },
    Boolean,
    List { min: usize, max: usize, of: &'static Self },
    Structure(&'static [Member]),
}

#[derive(Clone, Copy)]
pub(super) struct Text {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) form: Form,
    pub(super) display: Display,
}

#[derive(Clone, Copy)]
pub(super) enum Form {
    Any,
    OneOf(&'static [&'static str]),
    Pattern(&'static str, fn(&str) -> bool),
}

/// The form of a value in a message. The service does not show sensitive values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Display {
    Shown,
    Hidden,
}

const fn text(min: usize, max: usize) -> Shape {
    Shape::Text(Text { min, max, form: Form::Any, display: Display::Shown })
}

const fn one_of(names: &'static [&'static str]) -> Shape {
    Shape::Text(Text { min: 0, max: usize::MAX, form: Form::OneOf(names), display: Display::Shown })
}

const fn optional(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: false }
}

const fn required(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: true }
}

const SECRET_ID: Member = required("SecretId", text(1, 2048));
const TOKEN: Member = optional("ClientRequestToken", VERSION_ID);
const DESCRIPTION: Member = optional("Description", text(0, 2048));
const KMS_KEY_ID: Member = optional("KmsKeyId", text(0, 2048));
const TYPE: Member = optional("Type", text(0, 256));
const SECRET_STRING: Member = optional(
    "SecretString",
    Shape::Text(Text { min: 1, max: MAX_VALUE, form: Form::Any, display: Display::Hidden }),
);
const SECRET_BINARY: Member = optional("SecretBinary", Shape::Blob { min: 1, max: MAX_VALUE });
const MAX_RESULTS: Member = optional("MaxResults", Shape::Integer { min: 1, max: 100 });
const NEXT_TOKEN: Member = optional("NextToken", text(1, 4096));
const POLICY: Member = required("ResourcePolicy", text(1, 20_480));
const FORCE_OVERWRITE: Member = optional("ForceOverwriteReplicaSecret", Shape::Boolean);

const VERSION_ID: Shape = text(32, 64);
const STAGE: Shape = text(1, 256);
const STAGES: Shape = Shape::List { min: 1, max: 20, of: &STAGE };
const TAG_KEY: Shape = text(1, 128);
const TAG_KEYS: Shape = Shape::List { min: 0, max: usize::MAX, of: &TAG_KEY };
const TAG: Shape = Shape::Structure(&[optional("Key", TAG_KEY), optional("Value", text(0, 256))]);
const TAGS: Shape = Shape::List { min: 0, max: usize::MAX, of: &TAG };
const REGION: Shape = Shape::Text(Text {
    min: 1,
    max: 128,
    form: Form::Pattern(r"^([a-z]+-)+\d+$", is_region),
    display: Display::Shown,
});
const REGIONS: Shape = Shape::List { min: 1, max: usize::MAX, of: &REGION };
const REPLICA: Shape = Shape::Structure(&[optional("Region", REGION), KMS_KEY_ID]);
const REPLICAS: Shape = Shape::List { min: 1, max: usize::MAX, of: &REPLICA };
const ROTATION_TOKEN: Shape = Shape::Text(Text {
    min: 36,
    max: 256,
    form: Form::Pattern(r"^[a-zA-Z0-9\-]+$", is_rotation_token),
    display: Display::Hidden,
});
const FILTER_VALUE: Shape = Shape::Text(Text {
    min: 0,
    max: 512,
    form: Form::Pattern(r"^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$", is_filter_value),
    display: Display::Shown,
});
const FILTER: Shape = Shape::Structure(&[
    optional(
        "Key",
        one_of(&["description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all"]),
    ),
    optional("Values", Shape::List { min: 1, max: 10, of: &FILTER_VALUE }),
]);
const FILTERS: Shape = Shape::List { min: 0, max: 10, of: &FILTER };

/// The members of an operation's requests.
pub(super) fn members(action: Action) -> &'static [Member] {
    match action {
        Action::CreateSecret => {
            const {
                &[
                    required("Name", text(1, 512)),
                    TOKEN,
                    DESCRIPTION,
                    KMS_KEY_ID,
                    SECRET_BINARY,
                    SECRET_STRING,
                    optional("Tags", TAGS),
                    optional("AddReplicaRegions", REPLICAS),
                    FORCE_OVERWRITE,
                    TYPE,
                ]
            }
        }
        Action::DeleteSecret => {
            const {
                &[
                    SECRET_ID,
                    optional("RecoveryWindowInDays", Shape::Integer { min: i64::MIN, max: i64::MAX }),
                    optional("ForceDeleteWithoutRecovery", Shape::Boolean),
                ]
            }
        }
        Action::GetSecretValue => {
            const { &[SECRET_ID, optional("VersionId", VERSION_ID), optional("VersionStage", STAGE)] }
        }
        Action::ListSecretVersionIds => {
            const { &[SECRET_ID, MAX_RESULTS, NEXT_TOKEN, optional("IncludeDeprecated", Shape::Boolean)] }
        }
        Action::ListSecrets => {
            const {
                &[
                    optional("IncludePlannedDeletion", Shape::Boolean),
                    MAX_RESULTS,
                    NEXT_TOKEN,
                    optional("Filters", FILTERS),
                    optional("SortOrder", one_of(&["asc", "desc"])),
                    optional(
                        "SortBy",
                        one_of(&["created-date", "last-accessed-date", "last-changed-date", "name"]),
                    ),
                ]
            }
        }
        Action::PutResourcePolicy => {
            const { &[SECRET_ID, POLICY, optional("BlockPublicPolicy", Shape::Boolean)] }
        }
        Action::PutSecretValue => {
            const {
                &[
                    SECRET_ID,
                    TOKEN,
                    SECRET_BINARY,
                    SECRET_STRING,
                    optional("VersionStages", STAGES),
                    optional("RotationToken", ROTATION_TOKEN),
                ]
            }
        }
        Action::RemoveRegionsFromReplication => {
            const { &[SECRET_ID, required("RemoveReplicaRegions", REGIONS)] }
        }
        Action::ReplicateSecretToRegions => {
            const { &[SECRET_ID, required("AddReplicaRegions", REPLICAS), FORCE_OVERWRITE] }
        }
        Action::TagResource => const { &[SECRET_ID, required("Tags", TAGS)] },
        Action::UntagResource => const { &[SECRET_ID, required("TagKeys", TAG_KEYS)] },
        Action::UpdateSecret => {
            const { &[SECRET_ID, TOKEN, DESCRIPTION, KMS_KEY_ID, SECRET_BINARY, SECRET_STRING, TYPE] }
        }
        Action::UpdateSecretVersionStage => {
            const {
                &[
                    SECRET_ID,
                    required("VersionStage", STAGE),
                    optional("RemoveFromVersionId", VERSION_ID),
                    optional("MoveToVersionId", VERSION_ID),
                ]
            }
        }
        Action::ValidateResourcePolicy => const { &[optional("SecretId", text(1, 2048)), POLICY] },
        Action::DeleteResourcePolicy
        | Action::DescribeSecret
        | Action::GetResourcePolicy
        | Action::RestoreSecret
        | Action::StopReplicationToReplica => const { &[SECRET_ID] },
        Action::AssumeRole
        | Action::AssumeRoleWithWebIdentity
        | Action::GetCallerIdentity
        | Action::GetRoleCredentials => &[],
    }
}

fn is_region(value: &str) -> bool {
    let mut parts = value.rsplit('-');
    let number = parts.next().unwrap_or_default();
    let is = |part: &str, of: fn(&u8) -> bool| !part.is_empty() && part.bytes().all(|byte| of(&byte));
    let words: Vec<_> = parts.collect();
    is(number, u8::is_ascii_digit) && !words.is_empty() && words.iter().all(|w| is(w, u8::is_ascii_lowercase))
}

fn is_rotation_token(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn is_filter_value(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || " :_@/+=.-!".contains(c))
}
