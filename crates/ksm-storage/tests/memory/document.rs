//! Documents that hold the value everywhere, in buffers that do not grow and are zeroized.

use base64::{Engine, engine::general_purpose::STANDARD};
use ksm_storage::Payload;
use zeroize::Zeroizing;

const CAPACITY: usize = 4096;

/// As values of known and unknown keys, with and without escapes, and as the names of unknown keys.
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
    // Not by a method that goes through a buffer on the stack.
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

/// A configuration that a Keeper client starts with, and a key that is unknown to it.
pub(crate) fn bound(app_key: &str, unknown: &str) -> Zeroizing<String> {
    joined(&[
        "{\"hostname\": \"localhost\", \"clientId\": \"client\", \"privateKey\": \"private\", \"appKey\": \"",
        app_key,
        "\", \"",
        unknown,
        "\": [\"",
        unknown,
        "\"]}",
    ])
}
