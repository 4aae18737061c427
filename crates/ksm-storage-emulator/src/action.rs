use std::fmt;

macro_rules! actions {
    ($($name:ident)+) => {
        /// An operation of the emulated AWS services, named as in IAM.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "they are the services' names")]
        pub enum Action {
            $($name),+
        }

        impl Action {
            /// All emulated operations of Secrets Manager, STS and the SSO portal.
            pub const ALL: [Self; [$(stringify!($name)),+].len()] = [$(Self::$name),+];

            /// The name, such as `GetSecretValue`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name)),+
                }
            }
        }
    };
}

actions! {
    CreateSecret
    DeleteResourcePolicy
    DeleteSecret
    DescribeSecret
    GetResourcePolicy
    GetSecretValue
    ListSecretVersionIds
    ListSecrets
    PutResourcePolicy
    PutSecretValue
    RemoveRegionsFromReplication
    ReplicateSecretToRegions
    RestoreSecret
    StopReplicationToReplica
    TagResource
    UntagResource
    UpdateSecret
    UpdateSecretVersionStage
    ValidateResourcePolicy
    AssumeRole
    AssumeRoleWithWebIdentity
    GetCallerIdentity
    GetRoleCredentials
}

impl Action {
    /// The operation with this name, if it is emulated.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }

    /// The prefix of IAM permissions for the service.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::AssumeRole | Self::AssumeRoleWithWebIdentity | Self::GetCallerIdentity => "sts",
            Self::GetRoleCredentials => "sso",
            _ => "secretsmanager",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
