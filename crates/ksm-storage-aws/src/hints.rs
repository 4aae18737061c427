//! Shell commands in hints.

use aws_types::region::Region;
use ksm_storage_core::shell_word;

use crate::SecretId;

/// The secret that a hint is about, with the AWS CLI options that select it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) id: &'a SecretId,
    /// The ARN, once a reply contained it.
    pub(crate) arn: Option<&'a str>,
    pub(crate) region: &'a str,
    pub(crate) profile: Option<&'a str>,
    /// The source of the credentials, in words.
    pub(crate) credentials: Option<&'a str>,
}

impl Place<'_> {
    /// `aws secretsmanager ACTION --secret-id SECRET --region REGION --profile PROFILE`.
    pub(crate) fn command(&self, action: &str) -> String {
        self.with(action, "--secret-id", self.arn.unwrap_or(self.id.as_str()), "")
    }

    /// The command that shows whether the secret exists, without changing anything.
    pub(crate) fn describe(&self) -> String {
        self.command("describe-secret")
    }

    /// The command that lists the versions that the service keeps.
    pub(crate) fn list(&self) -> String {
        let secret = self.arn.unwrap_or(self.id.as_str());
        self.with("list-secret-version-ids", "--secret-id", secret, " --include-deprecated")
    }

    /// The commands that show whether the secret exists, and that create it.
    pub(crate) fn create(&self) -> String {
        let name = if self.id.is_arn() { "NAME" } else { self.id.name() };
        let create = self.with("create-secret", "--name", name, " --secret-string '{}'");
        format!("check this region: {}; if it does not exist, create it: {create}", self.describe())
    }

    /// The ARN to put into a policy, as far as it is known. A name belongs to the caller's account, which the message
    /// may contain.
    pub(crate) fn arn(&self, message: Option<&str>) -> String {
        if let Some(arn) = self.arn {
            return arn.to_owned();
        }
        if self.id.is_arn() {
            return self.id.as_str().to_owned();
        }
        let principal = message.unwrap_or_default().split(' ').find(|word| word.starts_with("arn:"));
        let fields: Vec<_> = principal.unwrap_or_default().split(':').collect();
        let (partition, account) = match fields[..] {
            [_, partition, _, _, account, ..] if !account.is_empty() => (partition, account),
            _ => ("PARTITION", "ACCOUNT"),
        };
        format!("arn:{partition}:secretsmanager:{}:{account}:secret:{}-??????", self.region, self.id.name())
    }

    fn with(&self, action: &str, option: &str, secret: &str, end: &str) -> String {
        let own = self.id.region().map(Region::as_ref);
        let region = own.or(Some(self.region)).filter(|region| !region.is_empty());
        let optional = |option: &str, value: Option<&str>| {
            value.map(|value| format!(" {option} {}", shell_word(value))).unwrap_or_default()
        };
        format!(
            "aws secretsmanager {action} {option} {}{end}{}{}",
            shell_word(secret),
            optional("--region", region),
            optional("--profile", self.profile)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_region_and_profile() {
        let id: SecretId = "ksm/config".parse().unwrap();
        let place = Place {
            id: &id,
            arn: None,
            region: "us-east-1",
            profile: Some("My Mac; rm -rf"),
            credentials: None,
        };
        assert_eq!(
            place.describe(),
            "aws secretsmanager describe-secret --secret-id ksm/config --region us-east-1 --profile 'My Mac; rm -rf'"
        );
        let create = place.create();
        assert!(create.find("describe-secret") < create.find("create-secret"), "{create}");
        assert!(
            create.contains("create-secret --name ksm/config --secret-string '{}' --region us-east-1"),
            "{create}"
        );
        let end = "secret:ksm/config-??????";
        assert_eq!(place.arn(None), format!("arn:PARTITION:secretsmanager:us-east-1:ACCOUNT:{end}"));
        let message = "the service answered that arn:aws-cn:iam::123456789012:user/me is not authorized";
        assert_eq!(
            place.arn(Some(message)),
            format!("arn:aws-cn:secretsmanager:us-east-1:123456789012:{end}")
        );
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ksm/config-aBcDeF";
        assert_eq!(Place { arn: Some(arn), ..place }.arn(None), arn);
        let id: SecretId = arn.parse().unwrap();
        let place = Place { id: &id, arn: None, region: "", profile: None, credentials: None };
        assert_eq!(place.arn(Some(message)), arn);
        assert_eq!(
            place.describe(),
            format!("aws secretsmanager describe-secret --secret-id {arn} --region us-east-1")
        );
        assert!(place.create().contains("--name NAME "));
    }
}
