use std::fmt;

/// An operation of the emulated AWS services, named as IAM names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they are the services' names")]
pub enum Action {
    CreateSecret,
    DeleteSecret,
    DescribeSecret,
    GetSecretValue,
    PutSecretValue,
    RestoreSecret,
    UpdateSecretVersionStage,
    AssumeRole,
    AssumeRoleWithWebIdentity,
    GetCallerIdentity,
    GetRoleCredentials,
}

impl Action {
    /// All operations of Secrets Manager, STS and the SSO portal that are emulated.
    pub const ALL: [Self; 11] = [
        Self::CreateSecret,
        Self::DeleteSecret,
        Self::DescribeSecret,
        Self::GetSecretValue,
        Self::PutSecretValue,
        Self::RestoreSecret,
        Self::UpdateSecretVersionStage,
        Self::AssumeRole,
        Self::AssumeRoleWithWebIdentity,
        Self::GetCallerIdentity,
        Self::GetRoleCredentials,
    ];

    /// The name, such as `GetSecretValue`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateSecret => "CreateSecret",
            Self::DeleteSecret => "DeleteSecret",
            Self::DescribeSecret => "DescribeSecret",
            Self::GetSecretValue => "GetSecretValue",
            Self::PutSecretValue => "PutSecretValue",
            Self::RestoreSecret => "RestoreSecret",
            Self::UpdateSecretVersionStage => "UpdateSecretVersionStage",
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::GetRoleCredentials => "GetRoleCredentials",
        }
    }

    /// The operation of this name, if it is emulated.
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
