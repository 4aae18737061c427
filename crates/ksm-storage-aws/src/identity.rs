//! The identity that makes the requests.

use std::fmt;

use aws_config::retry::RetryConfig;
use aws_sdk_sts::{Client, config::Builder};
use ksm_storage_core::{Error, ErrorKind, Result};

use crate::{connection::Connection, guarded::CheckedCache, sdk::counted};

/// A user or an assumed role, as reported by STS. `Display` shows the ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account ID.
    pub account: String,
    /// The ARN, such as `arn:aws:sts::123456789012:assumed-role/app/i-0abc`.
    pub arn: String,
}

impl Identity {
    /// Both values come from a reply and are displayed, so their formats are checked.
    fn parse(account: Option<&str>, arn: Option<&str>) -> Option<Self> {
        let (account, arn) = (account?, arn?);
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_arn = arn.starts_with("arn:")
            && arn.len() <= 2048
            && arn.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/_+=,.@-".contains(&byte));
        (is_account && is_arn).then(|| Self { account: account.to_owned(), arn: arn.to_owned() })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

impl Connection {
    /// Asks STS for the identity that makes the requests, with `sts:GetCallerIdentity`. Every identity may call this
    /// unless a policy denies it. Makes a single attempt; no other method depends on the answer.
    ///
    /// # Errors
    /// - [`ErrorKind::Credentials`] if there are none, or STS does not accept them.
    /// - [`ErrorKind::AccessDenied`] if a policy denies the call.
    /// - Other kinds for failures of STS or the network. A network without internet access needs an interface endpoint
    ///   for STS.
    pub async fn identity(&self) -> Result<Identity> {
        let endpoint = self.identity_endpoint()?;
        let trace = self.trace_of(endpoint.as_ref());
        let cache = self.sdk_config().identity_cache();
        let cache = CheckedCache::new(cache, self.source.as_deref(), self.thread.clone());
        let mut config = Builder::from(self.sdk_config())
            .retry_config(RetryConfig::disabled())
            .http_client(self.http(&trace))
            .identity_cache(cache);
        config.set_endpoint_url(endpoint.map(|endpoint| endpoint.url().to_owned()));
        let config = config.build();
        let call = |requests| async {
            Client::from_conf(config).get_caller_identity().customize().interceptor(requests).send().await
        };
        let reply =
            counted(&trace, self.source.as_deref(), call).await.map_err(|error| self.failed(error))?;
        Identity::parse(reply.account(), reply.arn())
            .ok_or_else(|| Error::not_applied(ErrorKind::Unexpected, "the reply from STS names no identity"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_parsed() {
        let arn = "arn:aws:sts::123456789012:assumed-role/app/i-0abc";
        assert_eq!(Identity::parse(Some("123456789012"), Some(arn)).unwrap().to_string(), arn);
        for (account, arn) in [
            (None, Some(arn)),
            (Some("123456789012"), None),
            (Some("12345678901"), Some(arn)),
            (Some("123456789012"), Some("arn:aws:iam::1:user/a\nb")),
            (Some("123456789012"), Some("s3cret")),
        ] {
            assert_eq!(Identity::parse(account, arn), None);
        }
    }
}
