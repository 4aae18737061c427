//! Describes errors of the SDK without their free text.

use keeper_secrets_manager_core::KSMRError;

use crate::post::{Refusal, Reply};

/// Maximum length of a notation, or of the SDK's text about one, in an error.
const MAX_QUOTED: usize = 300;
/// Number of consecutive base64 characters that are considered a key, and not shown.
const KEY_CHARS: usize = 40;

/// The error's name and Keeper's code.
pub(crate) fn describe(error: &KSMRError, reply: Option<&Reply>) -> String {
    let quoted = quotable(error).map(|text| format!(": {}", quote(text))).unwrap_or_default();
    let answered = match reply {
        Some(Reply::Refused(Refusal { status, code, .. })) => format!("; Keeper answered {status} {code}"),
        _ => String::new(),
    };
    format!("the SDK reports {}{quoted}{answered}", variant(error))
}

/// The name of an error's variant.
fn variant(error: &KSMRError) -> String {
    // `Debug` begins with the variant's name; the rest may quote anything.
    let debug = format!("{error:?}");
    debug.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// The text of errors that quote a notation, a title or the UID of a record, but no content.
fn quotable(error: &KSMRError) -> Option<&str> {
    match error {
        KSMRError::NotationError(text)
        | KSMRError::RecordNotFoundError(text)
        | KSMRError::FieldNotFoundError(text) => Some(text),
        _ => None,
    }
}

/// The caller's text on one line, without anything that may be a key.
pub(crate) fn quote(text: &str) -> String {
    let is_base64 = |char: char| char.is_ascii_alphanumeric() || "+/-_=".contains(char);
    let mut shown = String::new();
    for word in text.split_inclusive(|char| !is_base64(char)) {
        // A path such as a notation has more than one part, none of which is as long as a key.
        let is_key =
            word.split('/').any(|part| part.trim_end_matches(|char| !is_base64(char)).len() >= KEY_CHARS);
        shown.push_str(if is_key { "…" } else { word });
    }
    let mut line: String = shown.chars().take(MAX_QUOTED).collect();
    if line.len() < shown.len() {
        line.push('…');
    }
    line.chars()
        .map(|char| if "'\"".contains(char) { char.to_string() } else { char.escape_debug().to_string() })
        .collect()
}

/// The remedy.
pub(crate) fn hint(error: &KSMRError, reply: Option<&Reply>) -> Option<&'static str> {
    match (error, reply) {
        (_, Some(Reply::Refused(refusal))) => match (&*refusal.code, refusal.status) {
            ("key", _) => Some(
                "Keeper does not know the server's public key: correct or remove server_public_key and \
                 server_public_key_id, in the settings and in the configuration",
            ),
            ("invalid_client_version", _) => {
                Some("Keeper does not accept this version of its SDK: update the program")
            }
            (_, 300..400) => Some("a redirect, which is not followed; check the host name"),
            (_, 407) => Some("put user and password into the address of the proxy"),
            (_, 500..600) => Some(
                "Keeper, or a proxy in between, fails: try again later; if it persists, look at \
                 Keeper's status page and at the proxy",
            ),
            ("without a code", _) => {
                Some("the reply may come from a proxy or another server: check the host name")
            }
            _ => None,
        },
        (KSMRError::CryptoError(_) | KSMRError::DecodeError(_), Some(Reply::Accepted)) => {
            Some("the reply may come from another server: check the host name and the proxy")
        }
        (KSMRError::SecretManagerCreationError(text), None) if text.contains("HTTP client") => {
            Some("check the root certificates of this host (SSL_CERT_FILE, SSL_CERT_DIR)")
        }
        (KSMRError::ConfigurationError(_), None) => Some("check the proxy's address"),
        (KSMRError::RecordNotFoundError(_) | KSMRError::NotationError(_), _) => {
            Some("check the name, and whether the application may read the record")
        }
        (KSMRError::FileError(_) | KSMRError::IOError(_), _) => {
            Some("files are loaded from another host than records: check the network and the proxy")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ksm_storage_core::Location;

    use super::*;
    use crate::{Error, ErrorKind, http::NoReply, peer::Peer};

    fn described(sdk: &KSMRError, reply: Option<Reply>) -> (ErrorKind, String) {
        let error = Error::sdk(sdk, reply, Location::new("memory", "1"));
        (error.kind(), error.to_string())
    }

    fn rejected(status: u16, code: &str) -> Reply {
        Reply::Refused(Refusal { status, code: code.to_owned(), ip_locked: false })
    }

    #[test]
    fn sdk_errors_are_shown_by_name() {
        let sdk = KSMRError::CustomError("s3cret".to_owned());
        let text = "memory://1: the SDK reports CustomError; Keeper answered 400 bad_request";
        assert_eq!(described(&sdk, Some(rejected(400, "bad_request"))), (ErrorKind::Sdk, text.to_owned()));
        for (status, words) in [(301, "redirect"), (407, "password"), (503, "later"), (404, "another server")]
        {
            let (kind, text) = described(&sdk, Some(rejected(status, "without a code")));
            assert!(kind == ErrorKind::Sdk && text.contains(words), "{text}");
        }
        let peer = Peer { host: "keeper.example".to_owned(), setting: "KSM_HOSTNAME", proxy: None };
        let none = Reply::None { peer, cause: NoReply::Dns };
        let (kind, text) = described(&sdk, Some(none));
        let words =
            "no reply from Keeper at keeper.example (from KSM_HOSTNAME): the host name has no address";
        assert!(kind == ErrorKind::Unreachable && text.contains(words), "{text}");
    }

    #[test]
    fn notations_are_quoted_on_one_line() {
        let text = |text: &str| described(&KSMRError::NotationError(text.to_owned()), None).1;
        let shown = text("Notation error -  No records matched My 'Database'");
        assert!(
            shown.contains("NotationError: Notation error -  No records matched My 'Database'; check"),
            "{shown}"
        );
        let hostile = text("a\nb\u{1b}[0m\u{202e}");
        assert!(hostile.contains("a\\nb\\u{1b}[0m\\u{202e}"), "{hostile}");
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        for quoted in
            [key.to_owned(), format!("US:{key}"), format!("keeper://{key}/field/x"), format!("'{key}='")]
        {
            assert!(!text(&quoted).contains(&key[..42]), "{quoted}");
        }
        assert!(text(&"long ".repeat(1 << 20)).len() < 600);
        assert!(
            text("keeper://AAAAAAAAAAAAAAAAAAAAAA/custom_field/name[0][x]")
                .contains("AA/custom_field/name[0][x]")
        );
    }
}
