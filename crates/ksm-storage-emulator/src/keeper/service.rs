//! The state of the service, and its answers.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
};

use p256::SecretKey;
use serde_json::{Value as Json, json};

use super::{
    KEY_ID,
    cipher::{
        KEY, client_id, from_standard, from_url_safe, is_signed, key_pair, open, point, random, seal,
        standard, transmission_key, url_safe,
    },
};

/// The number of times that a client receives the application key. Keeper does not document its own policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppKeyPolicy {
    /// Only in the first reply.
    Once,
    /// In every reply, until a request shows that the client has it.
    UntilConfirmed,
}

/// A deviation of one request from its normal course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is not carried out, and the connection breaks.
    Unreachable,
    /// The request is not carried out, and no reply ever comes.
    HangBefore,
    /// The request is carried out, and the connection breaks.
    LoseReply,
    /// The request is carried out, and no reply ever comes.
    HangAfter,
    /// Rejected with `throttled`.
    Throttle,
    /// Rejected with `access_denied`.
    Deny,
    /// Rejected with `key`: the client must use this public key of the server.
    UseKey(u32),
    /// The request is not carried out, and answered with this status and body, as by a proxy or another server.
    Answer(u16, &'static str),
    /// Carried out, but the reply lacks this field.
    Omit(&'static str),
    /// No deviation; lets a request pass before another fault.
    None,
}

/// A recorded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The action, such as `get_secret`.
    pub action: String,
    /// The status of the reply, if one was sent.
    pub status: Option<u16>,
    /// True if it contained the client's public key, as it does until the client has the application key.
    pub with_public_key: bool,
}

/// An incoming request.
pub(super) struct Call<'a> {
    pub(super) action: &'a str,
    pub(super) key_id: &'a str,
    pub(super) wrapped_key: &'a str,
    pub(super) signature: &'a str,
    pub(super) body: &'a [u8],
    pub(super) peer: IpAddr,
}

pub(super) enum Answer {
    Reply(u16, Vec<u8>),
    Disconnect,
    Hang,
}

pub(super) struct Service {
    pub(super) address: Option<SocketAddr>,
    pub(super) faults: VecDeque<Fault>,
    pub(super) requests: Vec<RecordedRequest>,
    policy: AppKeyPolicy,
    own_key: SecretKey,
    owner_key: SecretKey,
    app_key: [u8; KEY],
    file_key: [u8; KEY],
    clients: BTreeMap<String, Client>,
    records: Vec<Record>,
}

/// The client's permission to change its address, as chosen by the creator of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IpLock {
    Unlocked,
    /// Locked to the address of the first request, which has not arrived yet.
    First,
    Locked(IpAddr),
}

struct Client {
    token_key: [u8; KEY],
    ip_lock: IpLock,
    public_key: Option<Vec<u8>>,
    given: bool,
    confirmed: bool,
}

struct Record {
    uid: String,
    key: [u8; KEY],
    data: Vec<u8>,
    has_file: bool,
}

/// The message for a client that is locked to another address, as quoted by users of Keeper.
const OTHER_ADDRESS: &str = "This client is locked to a different ip address";

const FILE: &[u8] = b"a file of the record";

impl Service {
    pub(super) fn new(policy: AppKeyPolicy) -> Self {
        let record = |title: &str, login: &str, has_file| {
            let password = url_safe(random::<12>());
            let data = json!({
                "title": title, "type": "login", "custom": [], "fields": [
                    { "type": "login", "value": [login] },
                    { "type": "password", "value": [password] },
                ],
            });
            Record {
                uid: url_safe(random::<16>()),
                key: random(),
                data: data.to_string().into_bytes(),
                has_file,
            }
        };
        Self {
            address: None,
            faults: VecDeque::new(),
            requests: Vec::new(),
            policy,
            own_key: key_pair(),
            owner_key: key_pair(),
            app_key: random(),
            file_key: random(),
            clients: BTreeMap::new(),
            records: vec![record("Database", "app", true), record("Message queue", "worker", false)],
        }
    }

    pub(super) fn server_public_key(&self) -> String {
        url_safe(point(&self.own_key))
    }

    pub(super) fn issue_token(&mut self, ip_lock: IpLock) -> String {
        let token_key = random();
        let client = Client { token_key, ip_lock, public_key: None, given: false, confirmed: false };
        self.clients.extend(client_id(&token_key).map(|id| (id, client)));
        url_safe(token_key)
    }

    pub(super) fn revoke_all(&mut self) {
        self.clients.clear();
    }

    pub(super) fn secrets(&self) -> Vec<Vec<u8>> {
        let own = [self.app_key.to_vec(), self.file_key.to_vec()];
        let clients = self.clients.values().map(|client| client.token_key.to_vec());
        let passwords = self.records.iter().filter_map(|record| {
            let data: Json = serde_json::from_slice(&record.data).ok()?;
            Some(data.pointer("/fields/1/value/0")?.as_str()?.as_bytes().to_vec())
        });
        own.into_iter().chain(clients).chain(passwords).collect()
    }

    /// Accepts an uploaded file without keeping it.
    pub(super) fn upload(&mut self) -> Answer {
        let action = "upload".to_owned();
        self.requests.push(RecordedRequest { action, status: Some(200), with_public_key: false });
        Answer::Reply(200, Vec::new())
    }

    /// A file's content.
    pub(super) fn file(&self, name: &str) -> Answer {
        match seal(&self.file_key, FILE) {
            Some(sealed) if name == "content" => Answer::Reply(200, sealed),
            _ => Answer::Reply(404, Vec::new()),
        }
    }

    pub(super) fn answer(&mut self, call: &Call<'_>) -> Answer {
        let fault = self.faults.pop_front().unwrap_or(Fault::None);
        let mut recorded =
            RecordedRequest { action: call.action.to_owned(), status: None, with_public_key: false };
        let (status, body) = match fault {
            Fault::Unreachable | Fault::HangBefore => (0, Vec::new()),
            Fault::Throttle => refusal("throttled", "slow down"),
            Fault::Deny => refusal("access_denied", "Signature is invalid"),
            Fault::UseKey(id) => {
                let body = json!({ "error": "key", "key_id": id, "message": "invalid key id" });
                (401, body.to_string().into_bytes())
            }
            Fault::Answer(status, body) => (status, body.as_bytes().to_vec()),
            Fault::Omit(field) => self.carry_out(call, &mut recorded, Some(field)),
            Fault::None | Fault::LoseReply | Fault::HangAfter => self.carry_out(call, &mut recorded, None),
        };
        let answer = match fault {
            Fault::Unreachable | Fault::LoseReply => Answer::Disconnect,
            Fault::HangBefore | Fault::HangAfter => Answer::Hang,
            _ => {
                recorded.status = Some(status);
                Answer::Reply(status, body)
            }
        };
        self.requests.push(recorded);
        answer
    }

    fn carry_out(
        &mut self,
        call: &Call<'_>,
        recorded: &mut RecordedRequest,
        omitted: Option<&str>,
    ) -> (u16, Vec<u8>) {
        if call.key_id != KEY_ID {
            let body = json!({ "error": "key", "key_id": KEY_ID.parse::<u32>().ok() });
            return (401, body.to_string().into_bytes());
        }
        let understood = from_standard(call.wrapped_key).and_then(|wrapped| {
            let session = transmission_key(&self.own_key, &wrapped)?;
            let payload: Json = serde_json::from_slice(&open(&session, call.body)?).ok()?;
            Some((wrapped, session, payload))
        });
        let Some((wrapped, session, payload)) = understood else {
            return refusal("bad_request", "not understood");
        };
        let public_key = payload.get("publicKey").and_then(Json::as_str).and_then(from_standard);
        recorded.with_public_key = public_key.is_some();
        let Some(client) =
            payload.get("clientId").and_then(Json::as_str).and_then(|id| self.clients.get_mut(id))
        else {
            return refusal("access_denied", "Unable to validate Keeper application access");
        };
        let known = client.public_key.clone().or_else(|| public_key.clone()).unwrap_or_default();
        let signature = from_standard(call.signature).unwrap_or_default();
        if !is_signed(&known, &wrapped, call.body, &signature) {
            return refusal("access_denied", "Signature is invalid");
        }
        match client.ip_lock {
            IpLock::Locked(address) if address != call.peer => {
                return refusal("access_denied", OTHER_ADDRESS);
            }
            IpLock::First => client.ip_lock = IpLock::Locked(call.peer),
            IpLock::Locked(_) | IpLock::Unlocked => {}
        }
        client.public_key = Some(known);
        client.confirmed |= public_key.is_none();
        let gives = public_key.is_some()
            && match self.policy {
                AppKeyPolicy::Once => !client.given,
                AppKeyPolicy::UntilConfirmed => !client.confirmed,
            };
        client.given |= gives;
        let token_key = client.token_key;
        let mut reply = self.reply(call.action, &payload);
        if gives && let Some(reply) = reply.as_object_mut() {
            reply.insert(
                "encryptedAppKey".into(),
                url_safe(seal(&token_key, &self.app_key).unwrap_or_default()).into(),
            );
            reply.insert("appOwnerPublicKey".into(), url_safe(point(&self.owner_key)).into());
        }
        if let Some((field, reply)) = omitted.zip(reply.as_object_mut()) {
            reply.remove(field);
        }
        (200, seal(&session, reply.to_string().as_bytes()).unwrap_or_default())
    }

    fn reply(&mut self, action: &str, payload: &Json) -> Json {
        let named = |field: &str| -> Vec<String> {
            let values = payload.get(field).and_then(Json::as_array);
            values.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
        };
        let gone = |key: &str, uids: &[String]| -> Vec<Json> {
            uids.iter().map(|uid| json!({ key: uid, "responseCode": "ok" })).collect()
        };
        match action {
            "get_secret" => {
                let wanted = named("requestedRecords");
                let records = self.records.iter();
                let records = records.filter(|record| wanted.is_empty() || wanted.contains(&record.uid));
                json!({ "records": records.map(|record| self.record(record)).collect::<Vec<_>>(), "folders": [] })
            }
            "get_folders" => {
                let folder =
                    json!({ "folderUid": "shared-folder-0000001", "folderKey": self.sealed(&self.file_key) });
                json!({ "folders": [folder] })
            }
            "update_secret" => {
                let uid = payload.get("recordUid").and_then(Json::as_str).unwrap_or_default();
                let data = payload.get("data").and_then(Json::as_str).unwrap_or_default();
                let record = self.records.iter_mut().find(|record| record.uid == uid);
                let sealed = from_url_safe(data).unwrap_or_default();
                if let Some(record) = record
                    && let Some(data) = open(&record.key, &sealed)
                {
                    record.data = data;
                }
                json!({})
            }
            "delete_secret" => {
                let uids = named("recordUids");
                self.records.retain(|record| !uids.contains(&record.uid));
                json!({ "records": gone("recordUid", &uids) })
            }
            "add_file" => {
                let url = self.address.map(|address| format!("https://{address}/files/upload"));
                json!({ "url": url, "parameters": r#"{"policy":"any"}"#, "successStatusCode": 200 })
            }
            "delete_folder" => json!({ "folders": gone("folderUid", &named("folderUids")) }),
            // Accepted: created objects are encrypted for the owner, whose key the fake does not have.
            _ => json!({}),
        }
    }

    fn sealed(&self, plain: &[u8]) -> String {
        standard(seal(&self.app_key, plain).unwrap_or_default())
    }

    fn record(&self, record: &Record) -> Json {
        let with_record_key = |plain: &[u8]| standard(seal(&record.key, plain).unwrap_or_default());
        let files = if record.has_file {
            let metadata =
                json!({ "name": "note.txt", "title": "note", "type": "text/plain", "size": FILE.len() });
            let url = self.address.map(|address| format!("https://{address}/files/content"));
            vec![json!({
                "fileUid": "file-of-the-record-001", "url": url,
                "fileKey": with_record_key(&self.file_key),
                "data": standard(seal(&self.file_key, metadata.to_string().as_bytes()).unwrap_or_default()),
            })]
        } else {
            Vec::new()
        };
        json!({
            "recordUid": record.uid, "recordKey": self.sealed(&record.key),
            "data": with_record_key(&record.data), "revision": 1, "isEditable": true, "files": files,
        })
    }
}

fn refusal(code: &str, message: &str) -> (u16, Vec<u8>) {
    (403, json!({ "error": code, "message": message }).to_string().into_bytes())
}
