//! Arbitrary stored bytes: a document that can be read is written and read again unchanged, in every form that the
//! contract allows. Input that cannot be read is never quoted.
#![no_main]

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use ksm_storage_core::{ConfigDocument, ConfigKey, ErrorKind, ExposeSecret};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|stored: &[u8]| match ConfigDocument::parse(stored) {
    Ok(document) => {
        written_and_read_again(&document);
        if let Some(json) = as_json(stored) {
            unchanged(&document, json);
            in_every_form(&document, json);
        }
    }
    Err(error) => {
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        not_quoted(stored, &format!("{error} {error:?}"));
    }
});

fn written_and_read_again(document: &ConfigDocument) {
    let payload = document.to_payload();
    assert_eq!(payload.len(), document.encoded_len());
    // The written document may be longer than the input, because of its indentation.
    if payload.len() > ConfigDocument::MAX_LEN {
        return;
    }
    let again = ConfigDocument::parse(payload.as_bytes()).expect("what is written can be read");
    assert!(again == *document, "what is written is read as something else");
    assert!(again.to_payload() == payload, "what is written differs the second time");
}

fn as_json(stored: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(stored).ok()?;
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
    text.starts_with('{').then_some(text)
}

/// Compares with another parser: same names, identical values, and the last of several equal names counts.
fn unchanged(document: &ConfigDocument, json: &str) {
    let Ok(expected) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) else {
        // It rejects lone surrogates in names, and so do we.
        panic!("it was read, but is no JSON object");
    };
    assert!(document.names().eq(expected.keys()), "the names are others");
    let payload = document.to_payload();
    let written: BTreeMap<String, &RawValue> =
        serde_json::from_slice(payload.as_bytes()).expect("what is written is JSON");
    for (name, value) in expected {
        let written = written[&name].get();
        match name.parse::<ConfigKey>() {
            Ok(key) if value.get().starts_with('"') => {
                let text: String = serde_json::from_str(value.get()).expect("it was read");
                assert!(document.get(key).expect("a string is a value").expose_secret() == text);
                assert!(serde_json::from_str::<String>(written).expect("a string") == text);
            }
            _ => assert!(written == value.get(), "a value was rewritten"),
        }
    }
}

/// Any kind of base64, embedded line breaks, surrounding white space and a byte order mark make no difference.
fn in_every_form(document: &ConfigDocument, json: &str) {
    let encoded = STANDARD.encode(json);
    let lines: Vec<_> = encoded.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
    for form in [
        format!("\u{feff} {json}\r\n"),
        format!("\u{feff}{encoded}\n"),
        lines.join("\r\n"),
        STANDARD_NO_PAD.encode(json),
        URL_SAFE.encode(json),
        URL_SAFE_NO_PAD.encode(format!("\u{feff}{json}")),
    ] {
        if form.len() <= ConfigDocument::MAX_LEN {
            let same = ConfigDocument::parse(form.as_bytes()).expect("another form of the same");
            assert!(same == *document, "another form is read as something else");
        }
    }
}

/// Asserts that the error quotes no eight bytes of the input, except its own words.
fn not_quoted(stored: &[u8], error: &str) {
    let marked: Vec<u8> =
        stored.iter().map(|byte| if byte.is_ascii_lowercase() { b'q' } else { *byte }).collect();
    let own =
        ConfigDocument::parse(&marked).err().map(|error| format!("{error} {error:?}")).unwrap_or_default();
    let quoted = stored.windows(8).find(|part| {
        part.iter().filter(|byte| byte.is_ascii_alphanumeric()).count() == part.len()
            && error.as_bytes().windows(8).any(|window| window == *part)
            && !own.as_bytes().windows(8).any(|window| window == *part)
    });
    assert!(quoted.is_none(), "the error quotes what is stored: {error}");
}
