//! The layer between the SDK and the network.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keeper_secrets_manager_core::{
    ClientOptions, KSMRError, KvStoreType, SecretsManager,
    dto::{EncryptedPayload, KsmHttpResponse, TransmissionKey},
};
use zeroize::Zeroize;

/// Maximum requests in a row of a server for another public key. The SDK itself would go on for ever where the
/// configuration names a key of its own (17.3.0).
const KEY_REFUSALS: u32 = 3;

/// Keeper's last answer, without anything that it said in free text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// There was none.
    None,
    Accepted,
    Refused {
        status: u16,
        code: String,
    },
}

/// The deliberate stop of a bind after Keeper's first reply.
///
/// The SDK sends its next request within the same call. Nothing more is sent from here, so that the application key can be
/// stored first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindCheckpoint {
    /// Keeper has not accepted the client yet.
    Ahead,
    /// Keeper has accepted it: every further request fails.
    Reached,
}

/// Sends the SDK's requests, through its own HTTP client.
#[derive(Default)]
pub(crate) struct Post {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sender: Option<SecretsManager>,
    /// None for a session that does not bind.
    checkpoint: Option<BindCheckpoint>,
    last: Option<Reply>,
    key_refusals: u32,
}

impl Post {
    pub(crate) fn new(checkpoint: Option<BindCheckpoint>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { checkpoint, ..State::default() }) })
    }

    /// Has the client that these options make send through this.
    pub(crate) fn install(self: &Arc<Self>, options: &mut ClientOptions) {
        let post = Arc::clone(self);
        options.set_custom_post_function(move |url, key, payload| post.send(url, key, payload));
    }

    /// Names the client whose HTTP client, proxy and TLS settings are used. Its secrets are not: each request would leave a
    /// copy of them in memory.
    pub(crate) fn connect(&self, sender: &SecretsManager) {
        let mut sender = sender.clone();
        sender.token.zeroize();
        sender.config = KvStoreType::None;
        self.state().sender = Some(sender);
    }

    /// Lets go of that client, which holds this in turn.
    pub(crate) fn disconnect(&self) {
        self.state().sender = None;
    }

    /// Forgets earlier replies.
    pub(crate) fn begin(&self) {
        let mut state = self.state();
        state.last = None;
        state.key_refusals = 0;
    }

    /// The last answer since [`begin`](Self::begin), if anything was sent.
    pub(crate) fn last(&self) -> Option<Reply> {
        self.state().last.clone()
    }

    pub(crate) fn checkpoint(&self) -> Option<BindCheckpoint> {
        self.state().checkpoint
    }

    fn send(
        &self,
        url: String,
        key: TransmissionKey,
        payload: EncryptedPayload,
    ) -> Result<KsmHttpResponse, KSMRError> {
        let sender = {
            let mut state = self.state();
            if state.checkpoint == Some(BindCheckpoint::Reached) {
                // For the SDK alone, which passes it up; the bind asks for the checkpoint itself.
                return Err(KSMRError::CustomError("the bind has reached its checkpoint".to_owned()));
            }
            state.last = Some(Reply::None);
            state.sender.clone()
        };
        let sender = sender.ok_or_else(|| KSMRError::CustomError("not connected".to_owned()))?;
        let response = sender.post_function(url, key, payload, true)?;
        let reply = read(&response);
        let mut state = self.state();
        state.last = Some(reply.clone());
        match reply {
            Reply::Accepted if state.checkpoint.is_some() => {
                state.checkpoint = Some(BindCheckpoint::Reached);
                Ok(response)
            }
            // A bind is not to sleep for minutes in the middle of a start.
            Reply::Refused { code, .. } if state.checkpoint.is_some() && code == "throttled" => {
                Err(KSMRError::Throttled(String::new()))
            }
            Reply::Refused { code, .. } if code == "key" => {
                state.key_refusals += 1;
                if state.key_refusals > KEY_REFUSALS {
                    return Err(KSMRError::HTTPError("the public key is refused again and again".to_owned()));
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
    let code = ["error", "result_code"].into_iter().find_map(|name| code(body, name));
    Reply::Refused { status: response.status_code, code: code.unwrap_or("without a code").to_owned() }
}

/// The value of a string field of a JSON object, if it is a plain word.
fn code<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("\"{name}\""))?;
    let (word, _) = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split_once('"')?;
    let plain = |character: char| character.is_ascii_lowercase() || character == '_';
    (!word.is_empty() && word.len() <= 40 && word.chars().all(plain)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_code_alone() {
        let refused = |body: &str| read(&KsmHttpResponse::new(403, Vec::new(), body.to_owned()));
        let code = |code: &str| Reply::Refused { status: 403, code: code.to_owned() };
        assert_eq!(
            refused(r#"{"error": "access_denied", "message": "client s3cret"}"#),
            code("access_denied")
        );
        assert_eq!(refused(r#"{"result_code":"throttled"}"#), code("throttled"));
        for body in ["", "<html>", r#"{"error": "S3cret Value"}"#, r#"{"error": 1}"#, r#"{"error": "#] {
            assert_eq!(refused(body), code("without a code"), "{body}");
        }
    }
}
