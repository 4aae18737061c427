//! Writes a document. Its parts know their lengths, so the buffer gets its final size at the start: a buffer that grows
//! leaves copies of secrets behind.

use std::io::{self, Write};

use super::{
    ConfigDocument,
    value::{Form, entry_len},
};
use crate::Payload;

pub(super) fn to_payload(document: &ConfigDocument) -> Payload {
    let mut bytes = Vec::with_capacity(encoded_len(document));
    write(document, &mut bytes);
    Payload::from(bytes)
}

pub(super) fn encoded_len(document: &ConfigDocument) -> usize {
    if document.is_empty() {
        return "{}".len();
    }
    let known: usize = document.known().map(|(name, value)| entry_len(name, value)).sum();
    known + document.other.encoded_len() + "\n}".len()
}

/// Length of a string in JSON, in bytes.
pub(super) fn string_len(text: &str) -> usize {
    let mut counter = Counter(0);
    write_string(text, &mut counter);
    counter.0
}

#[expect(clippy::expect_used, reason = "a counter never fails, and a string can always be written")]
fn write_string(text: &str, counter: &mut Counter) {
    serde_json::to_writer(counter, text).expect("a counter takes everything");
}

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(clippy::expect_used, reason = "a buffer in memory never fails")]
fn write(document: &ConfigDocument, out: &mut Vec<u8>) {
    try_write(document, out).expect("a buffer in memory takes everything");
}

fn try_write(document: &ConfigDocument, out: &mut Vec<u8>) -> io::Result<()> {
    let mut separator = "{\n    ";
    for (name, value) in document.entries() {
        out.write_all(separator.as_bytes())?;
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b": ")?;
        match value.form() {
            // Written directly to `out`, without an intermediate buffer.
            Form::Text => serde_json::to_writer(&mut *out, value.content())?,
            Form::Json => out.write_all(value.content().as_bytes())?,
        }
        separator = ",\n    ";
    }
    out.write_all(if document.is_empty() { b"{}" } else { b"\n}" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConfigKey;

    fn written(document: &ConfigDocument) -> String {
        let payload = to_payload(document);
        assert_eq!(payload.len(), encoded_len(document));
        String::from_utf8(payload.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn an_empty_document_is_two_characters() {
        assert_eq!(written(&ConfigDocument::new()), "{}");
    }

    /// The expected text is what `json.dumps(config, indent=4, sort_keys=True)` gives in Python.
    #[test]
    fn names_are_sorted_and_indented() {
        let mut document = ConfigDocument::parse(br#"{"serverPublicKeyId": 10, "a\"b": null}"#).unwrap();
        document.set(ConfigKey::Hostname, "quote \" back \\ tab \t slash / bell \u{7}");
        assert_eq!(
            written(&document),
            "{\n    \"a\\\"b\": null,\n    \"hostname\": \"quote \\\" back \\\\ tab \\t slash / bell \\u0007\",\n    \"serverPublicKeyId\": 10\n}"
        );
    }

    #[test]
    fn unknown_values_are_unchanged() {
        let nested = r#"{ "deep" : [ 1.50 , 123456789012345678901234567890 , "\/" ] }"#;
        let stored = format!(r#"{{"x":{nested},"y":1e400}}"#);
        let document = ConfigDocument::parse(stored.as_bytes()).unwrap();
        assert_eq!(written(&document), format!("{{\n    \"x\": {nested},\n    \"y\": 1e400\n}}"));
    }
}
