//! Secret IDs, and the region that they contain.

use std::{fmt, str::FromStr};

use aws_types::region::Region;
use ksm_storage_core::{Error, ErrorKind, Result};

use crate::environment::Environment;

/// The variable that names the secret if the program does not.
const VARIABLE: &str = "KSM_AWS_SECRET";
const DEFAULT_NAME: &str = "ksm-config";
/// The service's own limits.
const MAX_NAME: usize = 512;
/// In an ARN, the service appends a hyphen and six characters to the name.
const MAX_NAME_IN_ARN: usize = MAX_NAME + 7;

/// Identifies a secret by its name, or by its full or partial ARN.
///
/// Parsed from
/// - a name, such as `ksm-config`, optionally with the suffix that the service has added: `ksm-config-aBcDeF`;
/// - an ARN of any partition, with or without the suffix;
/// - `aws-sm://region/name`.
///
/// ```
/// use ksm_storage_aws::SecretId;
///
/// let id: SecretId = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:ksm-config-aBcDeF".parse()?;
/// assert_eq!(id.region().map(|region| region.as_ref()), Some("cn-north-1"));
/// assert_eq!("aws-sm://eu-west-1/ksm-config".parse::<SecretId>()?.name(), "ksm-config");
/// # Ok::<(), ksm_storage_aws::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretId {
    /// The ID in requests to the service.
    id: String,
    /// The offset of the name in `id`.
    name: usize,
    region: Option<Region>,
}

impl SecretId {
    /// `key`, or if that is empty `KSM_AWS_SECRET`, or `ksm-config`.
    pub(crate) fn resolve(key: &str, environment: Environment) -> Result<Self> {
        if !key.trim().is_empty() {
            return key.parse();
        }
        match environment.text(VARIABLE)? {
            Some(value) => value.parse().map_err(|error: Error| {
                error.with_hint(format!("correct the variable {VARIABLE}, which it was taken from"))
            }),
            None => DEFAULT_NAME.parse(),
        }
    }

    /// The ID as the service accepts it: the name or the ARN.
    pub fn as_str(&self) -> &str {
        &self.id
    }

    /// The name. For an ARN, the part after `secret:`, including the suffix.
    pub fn name(&self) -> &str {
        &self.id[self.name..]
    }

    /// The region in the ID, if it contains one.
    pub fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }

    /// The ID of this secret's replica in a region. The ARNs differ only in the region
    /// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html>).
    pub(crate) fn in_region(&self, region: &Region) -> Self {
        // Names contain no colons.
        let fields = self.id.split(':').enumerate();
        let id: Vec<_> = fields.map(|(at, field)| if at == 3 { region.as_ref() } else { field }).collect();
        let id = id.join(":");
        let name = if self.is_arn() { id.len() - self.name().len() } else { 0 };
        Self { id, name, region: Some(region.clone()) }
    }

    /// Returns true for an ARN.
    pub fn is_arn(&self) -> bool {
        self.name > 0
    }

    /// The name without its last seven characters, if these may be the suffix that the service adds.
    pub(crate) fn without_suffix(&self) -> Option<&str> {
        let name = self.name();
        let at = name.len().checked_sub(7)?;
        let suffix = name.get(at..)?.strip_prefix('-')?;
        let bare = &name[..at];
        (!bare.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(bare)
    }

    /// Returns true if the name certainly ends in a service suffix: an ordinary word has no digits and no inner
    /// capitals.
    pub(crate) fn has_suffix_for_sure(&self) -> bool {
        let is_word = |suffix: &str| suffix.bytes().all(|byte| byte.is_ascii_lowercase());
        self.without_suffix().is_some_and(|bare| !is_word(&self.name()[bare.len() + 1..]))
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.region {
            Some(region) if !self.is_arn() => write!(f, "aws-sm://{region}/{}", self.id),
            _ => f.pad(&self.id),
        }
    }
}

impl FromStr for SecretId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if begins_with(text, "arn:") {
            return parse_arn(text);
        }
        if let Some(rest) = text.strip_prefix("aws-sm://") {
            let (region, name) = rest
                .split_once('/')
                .ok_or_else(|| malformed(text, "it has no name: aws-sm://region/name"))?;
            check_region(text, region)?;
            check_name(text, name, MAX_NAME)?;
            return Ok(Self { id: name.to_owned(), name: 0, region: Some(Region::new(region.to_owned())) });
        }
        check_name(text, text, MAX_NAME)?;
        Ok(Self { id: text.to_owned(), name: 0, region: None })
    }
}

/// Ignores ASCII case.
fn begins_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start))
}

/// `arn:partition:secretsmanager:region:account:secret:name`. Partitions and regions are not looked up, since new ones
/// appear.
fn parse_arn(text: &str) -> Result<SecretId> {
    let parts: Vec<_> = text.splitn(7, ':').collect();
    let &[arn, partition, service, region, account, kind, name] = &*parts else {
        return Err(malformed(text, &format!("it has {} of the 7 parts between colons", parts.len())));
    };
    if arn != "arn" {
        return Err(malformed(text, "`arn` is written in lower case"));
    }
    if !is_label(partition) {
        return Err(malformed(text, &part("partition", partition, "a partition such as aws")));
    }
    if service != "secretsmanager" {
        return Err(malformed(text, &part("service", service, "secretsmanager")));
    }
    check_region(text, region)?;
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed(text, &part("account", account, "12 digits")));
    }
    if kind != "secret" {
        return Err(malformed(text, &part("resource type", kind, "secret")));
    }
    check_name(text, name, MAX_NAME_IN_ARN)?;
    let name = text.len() - name.len();
    Ok(SecretId { id: text.to_owned(), name, region: Some(Region::new(region.to_owned())) })
}

fn check_region(text: &str, region: &str) -> Result<()> {
    if is_label(region) {
        return Ok(());
    }
    Err(malformed(text, &part("region", region, "a region such as us-east-1")))
}

/// Lower-case letters and digits, with single hyphens between them.
fn is_label(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split('-').all(word)
}

/// The characters of <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>.
fn check_name(text: &str, name: &str, max: usize) -> Result<()> {
    if name.is_empty() {
        return Err(malformed(text, "its name is empty"));
    }
    if name.len() > max {
        return Err(malformed(
            text,
            &format!("its name has {} characters; the maximum is {max}", name.len()),
        ));
    }
    let allowed = |char: &char| char.is_ascii_alphanumeric() || "/_+=.@-".contains(*char);
    match name.chars().enumerate().find(|(_, char)| !allowed(char)) {
        Some((at, char)) => Err(malformed(text, &format!("character {} of its name is {char:?}", at + 1))),
        None => Ok(()),
    }
}

fn part(name: &str, found: &str, wanted: &str) -> String {
    if found.is_empty() {
        format!("its {name} is empty, expected {wanted}")
    } else {
        format!("its {name} is {:?}, expected {wanted}", shorten(found))
    }
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Repeats the text only if it looks like an ID: a secret may have been passed by mistake.
fn malformed(text: &str, what: &str) -> Error {
    let shown = if begins_with(text, "arn:") {
        format!("{:?}", shorten(text))
    } else {
        format!("of {} characters", text.chars().count())
    };
    Error::not_applied(ErrorKind::InvalidArgument, format!("invalid secret ID {shown}: {what}")).with_hint(
        "give a name (letters, digits and /_+=.@-), aws-sm://region/name, or \
             arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME",
    )
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> SecretId {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn arns_of_every_partition_parse() {
        for (partition, region) in [
            ("aws", "us-east-1"),
            ("aws-cn", "cn-north-1"),
            ("aws-us-gov", "us-gov-west-1"),
            ("aws-iso", "us-iso-east-1"),
            ("aws-iso-b", "us-isob-east-1"),
            ("aws-iso-e", "eu-isoe-west-1"),
            ("aws-iso-f", "us-isof-south-1"),
            ("aws-eusc", "eusc-de-east-1"),
            ("aws-moon", "moon-base-17"),
        ] {
            for name in ["ksm-config-aBcDeF", "ksm/prod/config"] {
                let text = format!("arn:{partition}:secretsmanager:{region}:123456789012:secret:{name}");
                let id = id(&text);
                assert_eq!((id.as_str(), id.name(), id.is_arn()), (&*text, name, true));
                assert_eq!(id.region().map(AsRef::as_ref), Some(region));
            }
        }
    }

    #[test]
    fn malformed_arn_names_its_part() {
        for (text, part) in [
            ("arn:aws:secretsmanager:us-east-1:123456789012:secret", "6 of the 7 parts"),
            ("arn::secretsmanager:us-east-1:123456789012:secret:n", "partition is empty"),
            ("ARN:aws:secretsmanager:us-east-1:123456789012:secret:n", "lower case"),
            ("arn:aws:s3:us-east-1:123456789012:secret:n", "service is \"s3\""),
            ("arn:aws:secretsmanager::123456789012:secret:n", "region is empty"),
            ("arn:aws:secretsmanager:US-EAST-1:123456789012:secret:n", "region is \"US-EAST-1\""),
            ("arn:aws:secretsmanager:us-east-1:1234:secret:n", "account is \"1234\""),
            ("arn:aws:secretsmanager:us-east-1:12345678901x:secret:n", "account is \"12345678901x\""),
            ("arn:aws-:secretsmanager:us-east-1:123456789012:secret:n", "partition is \"aws-\""),
            ("arn:aWs:secretsmanager:us-east-1:123456789012:secret:n", "partition is \"aWs\""),
            ("arn:aws:secretsmanager:us-east-1:123456789012:key:n", "resource type is \"key\""),
            ("arn:aws:secretsmanager:us-east-1:123456789012:secret:", "name is empty"),
            ("arn:aws:secretsmanager:us-east-1:123456789012:secret:a b", "character 2 of its name is ' '"),
            ("aws-sm://ksm-config", "no name"),
            ("aws-sm:///ksm-config", "region is empty"),
            ("ksm config", "character 4 of its name is ' '"),
            ("s3://bucket", "character 3 of its name is ':'"),
            ("", "name is empty"),
        ] {
            let error = text.parse::<SecretId>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn long_names_are_rejected_and_shortened() {
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:";
        let name = "n".repeat(512);
        assert_eq!(id(&name).name(), name);
        let error = format!("{name}n").parse::<SecretId>().unwrap_err().to_string();
        assert!(error.contains("its name has 513 characters; the maximum is 512"), "{error}");

        let suffixed = format!("{name}-aBcDeF");
        assert_eq!(id(&format!("{arn}{suffixed}")).name(), suffixed);
        let error = format!("{arn}{suffixed}g").parse::<SecretId>().unwrap_err().to_string();
        assert!(error.contains(&format!("invalid secret ID \"{arn}{}…\":", &name[arn.len()..80])), "{error}");
        assert!(error.contains("its name has 520 characters; the maximum is 519"), "{error}");
        assert_eq!(shorten(&name[..80]), name[..80]);
    }

    #[test]
    fn secrets_given_as_id_stay_hidden() {
        for (given, words) in [
            ("{\"appKey\": \"s3cret\"}".to_owned(), "invalid secret ID of 20 characters: character 1"),
            ("aws-sm://s3cret".to_owned(), "invalid secret ID of 15 characters: it has no name"),
            ("aws-sm://us-east-1/US:s3cret".to_owned(), "invalid secret ID of 28 characters: character 3"),
            ("US:s3cret".to_owned(), "invalid secret ID of 9 characters: character 3 of its name is ':'"),
            ("s3cret".repeat(100), "invalid secret ID of 600 characters: its name has 600 characters"),
        ] {
            let error = given.parse::<SecretId>().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(words) && !shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn displayed_id_parses_again() {
        for text in
            ["ksm", "aws-sm://us-east-1/ksm", "arn:aws:secretsmanager:us-east-1:123456789012:secret:ksm"]
        {
            assert_eq!(id(text).to_string(), text);
            assert_eq!((id(text).name(), id(text).is_arn()), ("ksm", text.starts_with("arn")));
        }
    }

    #[test]
    fn empty_key_uses_variable_then_default() {
        fn variable(name: &str, value: &str) -> Option<OsString> {
            (name == VARIABLE).then(|| value.into())
        }
        let with = |key: &str, environment: fn(&str) -> _| SecretId::resolve(key, Environment(environment));
        assert_eq!(with("a", |name| variable(name, "b")).unwrap().as_str(), "a");
        assert_eq!(with("", |name| variable(name, "b\r\n")).unwrap().as_str(), "b");
        assert_eq!(with(" ", |name| variable(name, "")).unwrap().as_str(), "ksm-config");
        assert_eq!(with("", |_| None).unwrap().as_str(), "ksm-config");
        let error = with("", |name| variable(name, "a b")).unwrap_err();
        assert!(error.to_string().contains(VARIABLE), "{error}");
    }

    #[test]
    fn possible_suffixes_are_recognized() {
        assert_eq!(id("ksm-config-aBcDe1").without_suffix(), Some("ksm-config"));
        assert_eq!(id("ksm-config").without_suffix(), Some("ksm"));
        assert_eq!(id("config").without_suffix(), None);
        assert_eq!(id("-aBcDeF").without_suffix(), None);
        assert_eq!(id("ksm-config-aBc.e1").without_suffix(), None);
        for (name, sure) in
            [("ksm-aBcDe1", true), ("ksm-abcde1", true), ("ksm-config", false), ("Ksm1", false)]
        {
            assert_eq!(id(name).has_suffix_for_sure(), sure, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_string_parses_or_is_refused(text in any::<String>()) {
            if let Ok(id) = text.parse::<SecretId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn ids_come_back_as_they_were(
            text in "(arn:aws(-[a-z]{1,4})?:secretsmanager:[a-z]{2}-[a-z]{1,9}-[0-9]:[0-9]{12}:secret:|aws-sm://[a-z]{2}-[a-z]{1,9}-[0-9]/|)[a-zA-Z0-9/_+=.@-]{1,60}"
        ) {
            let id: SecretId = text.parse().map_err(|error: Error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(id.to_string(), text.clone());
            prop_assert!(text.ends_with(id.name()));
            let _ = id.without_suffix();
        }

        #[test]
        fn nothing_near_an_arn_panics(text in "(arn|ARN|aws-sm)[:/a-z0-9é-]{0,60}") {
            let _ = text.parse::<SecretId>();
        }
    }
}
