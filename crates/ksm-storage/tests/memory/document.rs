//! Documents that contain the value in every position, in buffers that do not grow and are zeroized.

use base64::{Engine, engine::general_purpose::STANDARD};
use ksm_storage::Payload;
use zeroize::Zeroizing;

const CAPACITY: usize = 4096;

/// Keys of a nonexistent client.
pub(crate) const APP_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const CLIENT_ID: &str =
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";
const PRIVATE_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDQki6Q5Dmz2C+gWg869b2UIGjBPH84r19SCyUJ7NjN\
    KhRANCAATQJr67QEx2TMiaPqRo4HotrldaahNIS4wXlZTosY6jhT45XF8F9YhxcMpp+gajkZFjeYH5VZp9Nx20pqyRxMtd";

/// A document with the value in known and unknown keys, with and without escapes, and in the names of unknown keys.
pub(crate) fn json(secret: &str) -> Zeroizing<String> {
    let pieces = [
        "{\"privateKey\": \"",
        secret,
        "\", \"clientId\": \"with\\tescapes\\u0021",
        secret,
        "\", \"appUid\": [\"",
        secret,
        "\", {\"a\": \"",
        secret,
        "\"}], \"",
        secret,
        "\": 1, \"with\\u0021",
        secret,
        "\": \"",
        secret,
        "\"}",
    ];
    joined(&pieces)
}

pub(crate) fn malformed(secret: &str) -> Zeroizing<String> {
    joined(&["{\"privateKey\": \"", secret, "\", \"", secret, "\": \"", secret, "\", }"])
}

pub(crate) fn base64(secret: &str) -> Zeroizing<String> {
    let json = json(secret);
    // Other methods would use a buffer on the stack.
    let mut encoded = Zeroizing::new(vec![0; CAPACITY]);
    let len = STANDARD.encode_slice(&*json, &mut encoded).unwrap();
    joined(&[std::str::from_utf8(&encoded[..len]).unwrap()])
}

fn joined(pieces: &[&str]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(CAPACITY));
    text.extend(pieces.iter().copied());
    text
}

pub(crate) fn payload(text: &Zeroizing<String>) -> Payload {
    Payload::from(text.as_str())
}

/// A configuration from which a Keeper client starts, with a key that the client does not know.
pub(crate) fn bound(app_key: &str, unknown: &str) -> Zeroizing<String> {
    joined(&[
        "{\"hostname\": \"localhost\", \"clientId\": \"",
        CLIENT_ID,
        "\", \"privateKey\": \"",
        PRIVATE_KEY,
        "\", \"appKey\": \"",
        app_key,
        "\", \"",
        unknown,
        "\": [\"",
        unknown,
        "\"]}",
    ])
}
