//! The layer between the SDK and the network.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keeper_secrets_manager_core::{
    ClientOptions, KSMRError,
    crypto::CryptoUtils,
    dto::{EncryptedPayload, KsmHttpResponse, TransmissionKey},
};
use serde_json::{Map, Value};

use crate::{
    http::{HttpClient, NoReply},
    peer::{self, Peer},
    settings::Settings,
};

/// Maximum consecutive requests of a server for another public key. The SDK itself would loop forever if the
/// configuration contains a key of its own (17.3.0).
pub(crate) const KEY_REFUSALS: u32 = 3;
/// The longest pause that a throttled call makes at Keeper's request. The SDK's own pauses are no longer; but it would
/// sleep for as long as a reply says, and panic if that is not a valid duration (17.3.0).
pub(crate) const MAX_PAUSE: f64 = 180.0;

/// Keeper's last reply, without its free text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// There was no reply from this host.
    None {
        peer: Peer,
        cause: NoReply,
    },
    Accepted,
    Refused(Refusal),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    /// True if Keeper says that the client is locked to another IP address.
    pub(crate) ip_locked: bool,
}

/// Stops a bind deliberately after Keeper's first reply.
///
/// The SDK sends its next request within the same call. It is suppressed here, so that the application key can be
/// stored first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindCheckpoint {
    /// Keeper has not accepted the client yet.
    Ahead,
    /// Keeper has accepted it: every further request fails.
    Reached,
}

/// Sends the SDK's requests.
pub(crate) struct Post {
    settings: Arc<Settings>,
    /// The setting that names the host.
    origin: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` for a session that does not bind.
    checkpoint: Option<BindCheckpoint>,
    last: Option<Reply>,
    key_refusals: u32,
}

impl Post {
    pub(crate) fn new(
        settings: Arc<Settings>,
        origin: &'static str,
        checkpoint: Option<BindCheckpoint>,
    ) -> Arc<Self> {
        Arc::new(Self { settings, origin, state: Mutex::new(State { checkpoint, ..State::default() }) })
    }

    /// Makes the client with these options send its requests through this value.
    pub(crate) fn install(self: &Arc<Self>, options: &mut ClientOptions) {
        let post = Arc::clone(self);
        options.set_custom_post_function(move |url, key, payload| post.send(&url, &key, payload));
    }

    /// Forgets earlier replies.
    pub(crate) fn begin(&self) {
        let mut state = self.state();
        state.last = None;
        state.key_refusals = 0;
    }

    /// The last reply since [`begin`](Self::begin), if anything was sent.
    pub(crate) fn last(&self) -> Option<Reply> {
        self.state().last.clone()
    }

    pub(crate) fn checkpoint(&self) -> Option<BindCheckpoint> {
        self.state().checkpoint
    }

    fn send(
        &self,
        url: &str,
        key: &TransmissionKey,
        payload: EncryptedPayload,
    ) -> Result<KsmHttpResponse, KSMRError> {
        if self.state().checkpoint == Some(BindCheckpoint::Reached) {
            // Only for the SDK, which passes it up; the bind checks the checkpoint itself.
            return Err(KSMRError::CustomError("the bind has reached its checkpoint".to_owned()));
        }
        let sent = HttpClient::of(&self.settings).and_then(|http| http.post(url, key, payload));
        let binds = self.state().checkpoint.is_some();
        let sent = sent.and_then(|response| if binds { sealed(response, key) } else { Ok(response) });
        let reply = match &sent {
            Ok(response) => read(response),
            Err(cause) => {
                let proxy = peer::proxy(&self.settings, Settings::environment, url);
                Reply::None { peer: Peer { host: host(url), setting: self.origin, proxy }, cause: *cause }
            }
        };
        let mut state = self.state();
        state.last = Some(reply.clone());
        let response = sent.map_err(|cause| KSMRError::HTTPError(cause.words().to_owned()))?;
        match reply {
            Reply::Accepted if state.checkpoint.is_some() => {
                state.checkpoint = Some(BindCheckpoint::Reached);
                Ok(response)
            }
            // A bind must not sleep for minutes during a start, and no call for longer than the SDK would by itself.
            Reply::Refused(refusal)
                if refusal.code == "throttled"
                    && (state.checkpoint.is_some() || pause(&response) > MAX_PAUSE) =>
            {
                Err(KSMRError::Throttled(String::new()))
            }
            Reply::Refused(refusal) if refusal.code == "key" => {
                state.key_refusals += 1;
                if state.key_refusals > KEY_REFUSALS {
                    return Err(KSMRError::HTTPError(
                        "the server repeatedly refused its public key".to_owned(),
                    ));
                }
                Ok(response)
            }
            _ => {
                state.key_refusals = 0;
                Ok(response)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(response: &KsmHttpResponse) -> Reply {
    if response.status_code == 200 {
        return Reply::Accepted;
    }
    let body = response.http_response.as_deref().unwrap_or_default();
    Reply::Refused(Refusal {
        status: response.status_code,
        code: code(&fields(response)).unwrap_or("without a code").to_owned(),
        ip_locked: body.to_ascii_lowercase().contains("locked to a different ip address"),
    })
}

/// A reply to a bind, unless it comes from another server, in which case it would look like a bind without an
/// application key.
fn sealed(response: KsmHttpResponse, key: &TransmissionKey) -> Result<KsmHttpResponse, NoReply> {
    let opens = || CryptoUtils::decrypt_aes(&response.data, &key.key).is_ok();
    if response.status_code == 200 && !opens() { Err(NoReply::Foreign) } else { Ok(response) }
}

/// Host and port of a request, on one line.
fn host(url: &str) -> String {
    let host = url.split('/').nth(2).unwrap_or_default();
    host.chars().take(300).collect::<String>().escape_debug().to_string()
}

/// The fields of a rejection, as the SDK reads them.
fn fields(response: &KsmHttpResponse) -> Map<String, Value> {
    serde_json::from_str(response.http_response.as_deref().unwrap_or_default()).unwrap_or_default()
}

/// The number of seconds that a reply asks the client to wait, as the SDK reads it.
fn pause(response: &KsmHttpResponse) -> f64 {
    match fields(response).get("retry_after") {
        // The SDK ignores numbers that it cannot represent.
        Some(Value::Number(number)) => number.as_f64().unwrap_or_default(),
        Some(Value::String(text)) => text.parse().unwrap_or_default(),
        _ => 0.0,
    }
}

/// The code by which the SDK chooses what to do, if it is a plain word.
fn code(fields: &Map<String, Value>) -> Option<&str> {
    let word = fields.get("result_code").or_else(|| fields.get("error"))?.as_str()?;
    let plain = |character: char| character.is_ascii_lowercase() || character == '_';
    (!word.is_empty() && word.len() <= 40 && word.chars().all(plain)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_known_by_code() {
        let refused = |body: &str| read(&KsmHttpResponse::new(403, Vec::new(), body.to_owned()));
        let code =
            |code: &str| Reply::Refused(Refusal { status: 403, code: code.to_owned(), ip_locked: false });
        assert_eq!(
            refused(r#"{"error": "access_denied", "message": "client s3cret"}"#),
            code("access_denied")
        );
        assert_eq!(refused(r#"{"result_code":"throttled"}"#), code("throttled"));
        for last in [
            r#"{"error": "key", "result_code": "throttled"}"#,
            r#"{"error": "key", "error": "throttled"}"#,
            r#"{"a": {"error": "key"}, "err\u006fr": "throttled"}"#,
        ] {
            assert_eq!(refused(last), code("throttled"), "{last}");
        }
        for body in [
            "",
            "<html>",
            r#"{"result_code": 1, "error": "key"}"#,
            r#"{"error": "S3cret Value"}"#,
            r#"{"error": 1}"#,
            r#"{"error": "#,
        ] {
            assert_eq!(refused(body), code("without a code"), "{body}");
        }
    }
}
