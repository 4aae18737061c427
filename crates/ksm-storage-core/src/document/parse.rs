//! Parses a stored document without leaving a copy of it behind and without quoting it in errors.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use secrecy::ExposeSecret;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{error::Category, value::RawValue};
use zeroize::Zeroizing;

use super::{ConfigDocument, Value, escape::unescape, value::Others};
use crate::{ConfigKey, Error, ErrorKind, Result};

pub(super) fn parse(stored: &[u8]) -> Result<ConfigDocument> {
    if stored.len() > ConfigDocument::MAX_LEN {
        return Err(invalid(format!(
            "it is {} bytes long; a document may have at most {}",
            stored.len(),
            ConfigDocument::MAX_LEN
        )));
    }
    if let Some(found) = other_encoding(stored) {
        return Err(invalid(format!("it is {found}; expected UTF-8")));
    }
    let text = Text::new(stored, "")?;
    if text.trimmed().is_empty() {
        return Err(
            invalid("it is empty instead of a JSON object").with_hint("store `{}` for an empty document")
        );
    }
    if text.trimmed().starts_with('{') {
        return parse_object(&text);
    }
    if let Some(found) = other_json(text.trimmed()) {
        return Err(invalid(format!("it is JSON, but {found} instead of an object")));
    }
    let decoded = decode_base64(&text)?;
    let text = Text::new(&decoded, " of the decoded base64")?;
    if !text.trimmed().starts_with('{') {
        return Err(invalid("it is base64, but not of a JSON object"));
    }
    parse_object(&text)
}

/// The encoding of a file that an editor, PowerShell or gzip wrote, as far as its beginning tells.
fn other_encoding(stored: &[u8]) -> Option<&'static str> {
    match stored {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=255, ..] | [1..=255, 0, ..] => Some("UTF-16"),
        [0x1f, 0x8b, ..] => Some("compressed by gzip"),
        _ => None,
    }
}

/// Returns the type of the JSON value, if the text is valid JSON but not an object.
fn other_json(text: &str) -> Option<&'static str> {
    let found = match text.as_bytes().first()? {
        b'[' => "an array",
        b'"' => "a string",
        b't' | b'f' => "true or false",
        b'n' => "null",
        _ => "a number",
    };
    serde_json::from_str::<IgnoredAny>(text).ok().map(|_| found)
}

/// UTF-8 text, and the name of its positions in messages.
struct Text<'a> {
    whole: &'a str,
    of: &'static str,
}

impl<'a> Text<'a> {
    fn new(bytes: &'a [u8], of: &'static str) -> Result<Self> {
        match std::str::from_utf8(bytes) {
            Ok(whole) => Ok(Self { whole, of }),
            Err(error) => Err(invalid(format!("byte {}{of} is not UTF-8", error.valid_up_to() + 1))),
        }
    }

    fn trimmed(&self) -> &'a str {
        self.whole.trim_matches(is_blank)
    }

    /// An error at the byte `offset` of the whole text.
    fn invalid_at(&self, offset: usize, expected: impl fmt::Display) -> Error {
        let before = &self.whole[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        invalid(format!("line {line}, column {column}{}: {expected}", self.of))
    }

    /// Offset of `part`, a slice of this text.
    fn offset_of(&self, part: &str) -> usize {
        part.as_ptr().addr() - self.whole.as_ptr().addr()
    }
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

fn parse_object(text: &Text<'_>) -> Result<ConfigDocument> {
    let json = text.trimmed();
    let start = text.offset_of(json);
    if let Some(offset) = too_deep(json) {
        let limit = ConfigDocument::MAX_DEPTH;
        return Err(text.invalid_at(start + offset, format_args!("nested more than {limit} deep")));
    }
    // Values are borrowed from the text: the parser copies none of them.
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let entries = deserializer
        .deserialize_map(Entries)
        .and_then(|entries| deserializer.end().map(|()| entries))
        .map_err(|error| {
            let expected = match error.classify() {
                // The parser's own message, which never quotes the text, without the parser's position.
                Category::Syntax | Category::Eof => {
                    let words = error.to_string();
                    words.split(" at line ").next().unwrap_or_default().to_owned()
                }
                Category::Data | Category::Io => "a JSON object was expected".to_owned(),
            };
            text.invalid_at(start + offset_at(json, error.line(), error.column()), expected)
        })?;
    let (mut document, mut others) = (ConfigDocument::new(), Others::default());
    for (name, raw) in entries {
        let unescape = |escaped: &str| {
            unescape(escaped).map_err(|at| {
                text.invalid_at(
                    text.offset_of(escaped) + at,
                    "the second half of a surrogate pair was expected, as \\uDC00 to \\uDFFF",
                )
            })
        };
        let (name, raw) = (quoted(name.get()).unwrap_or_default(), raw.get());
        let unescaped = name.contains('\\').then(|| unescape(name)).transpose()?;
        let name = unescaped.as_ref().map_or(name, ExposeSecret::expose_secret);
        match (ConfigKey::from_name(name), quoted(raw)) {
            (Some(key), Some(escaped)) => {
                document.set_value(key, Value::text(unescape(escaped)?));
            }
            (Some(key), None) => document.set_value(key, Value::json(raw)),
            (None, _) => others.insert(name, Value::json(raw)),
        }
    }
    document.other = Arc::new(others);
    Ok(document)
}

/// The inside of a JSON string.
fn quoted(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// The names and values of an object, in order. Names are kept escaped too: unescaping in the parser would leave a
/// copy.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// Converts the `line` and `column` of `serde_json` to a byte offset. The column counts bytes from 1 and includes the
/// last byte read.
fn offset_at(json: &str, line: usize, column: usize) -> usize {
    let start: usize = json.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut offset = (start + column.saturating_sub(1)).min(json.len());
    while !json.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Position at which the text exceeds the nesting limit. The parser itself has no limit for values that it skips.
fn too_deep(json: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > ConfigDocument::MAX_DEPTH {
                    return Some(offset);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn decode_base64(text: &Text<'_>) -> Result<Zeroizing<Vec<u8>>> {
    let encoded = text.trimmed();
    let mut standard = Zeroizing::new(Vec::with_capacity(encoded.len()));
    let mut padded = false;
    for (offset, character) in encoded.char_indices() {
        standard.push(match character {
            _ if is_blank(character) => continue,
            '=' => {
                padded = true;
                continue;
            }
            '-' if !padded => b'+',
            '_' if !padded => b'/',
            '+' | '/' | 'a'..='z' | 'A'..='Z' | '0'..='9' if !padded => character as u8,
            _ => {
                let expected: Cow<'_, str> = if padded {
                    "nothing was expected after the padding of base64".into()
                } else {
                    "a JSON object, or base64 of one, was expected".into()
                };
                return Err(text.invalid_at(text.offset_of(encoded) + offset, expected));
            }
        });
    }
    let mut decoded = Zeroizing::new(vec![0; base64::decoded_len_estimate(standard.len())]);
    let len = STANDARD_NO_PAD.decode_slice(&*standard, &mut decoded).map_err(|_| {
        text.invalid_at(
            text.offset_of(encoded) + encoded.len(),
            "a JSON object, or base64 of one, was expected; as base64 it is truncated",
        )
    })?;
    decoded.truncate(len);
    Ok(decoded)
}

fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    Error::not_applied(ErrorKind::InvalidConfig, message)
        .with_hint("expected the JSON object that a Keeper SDK writes, in UTF-8 or in base64")
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;
    use crate::Outcome;

    fn value(stored: &[u8]) -> String {
        parse(stored).unwrap().get(ConfigKey::Url).unwrap().expose_secret().to_owned()
    }

    #[test]
    fn json_and_base64_are_read() {
        // Its base64 has padding and characters that differ between the two alphabets.
        let json = "{\"url\": \"\\u00ff\\u00fb?>~~~?? \u{ff}\u{fb}\u{3ff}\"} ";
        let (expected, standard) = ("\u{ff}\u{fb}?>~~~?? \u{ff}\u{fb}\u{3ff}", STANDARD.encode(json));
        assert!(standard.contains(['+', '/']) && standard.ends_with('='), "{standard}");
        let lines: Vec<_> =
            standard.as_bytes().chunks(20).map(|line| std::str::from_utf8(line).unwrap()).collect();
        for stored in [
            json.to_owned(),
            format!("\u{feff}{json}"),
            format!(" \t\r\n{json}\n"),
            standard.clone(),
            STANDARD_NO_PAD.encode(json),
            URL_SAFE.encode(json),
            URL_SAFE_NO_PAD.encode(json),
            lines.join("\n"),
            format!("{}\r\n", lines.join("\r\n")),
            STANDARD.encode(format!("\u{feff}{json}\n")),
        ] {
            assert_eq!(value(stored.as_bytes()), expected, "{stored}");
        }
    }

    #[test]
    fn escapes_stand_for_what_json_says() {
        let stored = br#"{"url":"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00"}"#;
        assert_eq!(value(stored), "\"\\/\u{8}\u{c}\n\r\tA\u{1f600}");
        assert_eq!(value(br#"{"\u0075rl":"escapes in a name"}"#), "escapes in a name");
    }

    #[test]
    fn last_duplicate_name_wins() {
        assert_eq!(value(br#"{"url":"first","url":"last"}"#), "last");
    }

    #[test]
    fn parse_errors_name_place_quote_nothing() {
        let deep = format!(" {{\"a\":{}cAnaRy{}}}", "[".repeat(200), "]".repeat(200));
        let long = format!("{{\"url\":\"{}\"}}", "cAnaRy".repeat(11_000));
        let array = STANDARD.encode("[\"cAnaRy\"]");
        let truncated = STANDARD.encode("{\"url\": \"cAnaRy");
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b" \n\t", "store `{}`"),
            (b"{\"url\": \"cAnaRy\xff\"}", "byte 16 is not UTF-8; expected the JSON object"),
            (b"\xff\xfe{\0}\0", "it is UTF-16; expected UTF-8"),
            (b"\xfe\xff\0{\0}", "it is UTF-16; expected UTF-8"),
            (b"{\0}\0", "it is UTF-16; expected UTF-8"),
            (b"\0{\0}", "it is UTF-16; expected UTF-8"),
            (b"\0\0\0\0", "column 1: a JSON object, or base64 of one, was expected"),
            (b"\x1f\x8b\x08\0", "it is compressed by gzip"),
            (b"[\"cAnaRy\"]", "an array"),
            (b"\"cAnaRy\"", "a string"),
            (b"null", "null"),
            (b"1234", "a number"),
            (b"true", "true or false"),
            (b"cAnaRy, as it is", "line 1, column 7"),
            (b"\n  cAn!Ry", "line 2, column 6"),
            (b" cAnaR", "column 7: a JSON object, or base64 of one, was expected; as base64 it is truncated"),
            (b"cAna=Ry=", "after the padding"),
            (b"cAna=-", "column 6: nothing was expected after the padding"),
            (b"cAna=_", "column 6: nothing was expected after the padding"),
            (array.as_bytes(), "not of a JSON object"),
            (truncated.as_bytes(), "of the decoded base64"),
            (b"{\"url\": cAnaRy}", "line 1, column 9"),
            (b"\n {\"url\": cAnaRy}", "line 2, column 10"),
            (b"{\n  \"url\": \"cAnaRy\"", "EOF"),
            (b"{\"url\": \"cAnaRy\"} cAnaRy", "trailing characters"),
            (b"{\"url\": \"cAnaRy\\ud83d.\"}", "line 1, column 16"),
            (b"{\"cAnaRy\\udc00\": 1}", "line 1, column 9"),
            (b"{cAnaRy: 1}", "key must be a string"),
            (b"{\"url\": \"cAnaRy\", }", "trailing comma"),
            (deep.as_bytes(), "line 1, column 134: nested more than 128"),
            (long.as_bytes(), "at most 65536"),
        ];
        for (stored, expected) in cases {
            let error = parse(stored).unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidConfig, Outcome::NotApplied));
            let text = error.to_string();
            assert!(text.contains(expected), "{:?}: {text}", String::from_utf8_lossy(stored));
            assert!(!format!("{text} {error:?}").contains("cAn"), "{text}");
        }
        assert_eq!(offset_at("{\u{fc}", 1, 3), 1, "where the character begins");
    }

    #[test]
    fn both_limits_are_still_allowed() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(parse(nested(ConfigDocument::MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse(nested(ConfigDocument::MAX_DEPTH + 1).as_bytes()).is_err());
        let padded = |len: usize| format!("{{}}{}", " ".repeat(len - 2));
        assert!(parse(padded(ConfigDocument::MAX_LEN).as_bytes()).is_ok());
        assert!(parse(padded(ConfigDocument::MAX_LEN + 1).as_bytes()).is_err());
        assert!(parse(format!("{{\"a\":[{}1]}}", "[],".repeat(200)).as_bytes()).is_ok());
    }

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        assert_eq!(value(format!("{{\"a\":\"{}\",\"url\":\"u\"}}", "[\\\"".repeat(300)).as_bytes()), "u");
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,100}") {
            let _ = (parse(&bytes), parse(text.as_bytes()), parse(STANDARD.encode(&bytes).as_bytes()));
            let _ = parse(format!("{{{text}}}").as_bytes());
        }

        #[test]
        fn what_is_written_is_read(
            values in prop::collection::btree_map("\\PC{0,12}", any::<String>(), 0..8),
            url in any::<String>(),
        ) {
            let mut object: serde_json::Map<_, _> =
                values.into_iter().map(|(name, value)| (name, value.into())).collect();
            object.insert("url".into(), url.clone().into());
            let document = parse(serde_json::to_string(&object).unwrap().as_bytes()).unwrap();
            prop_assert_eq!(document.get(ConfigKey::Url).unwrap().expose_secret(), &url);
            let written = document.to_payload();
            prop_assert!(parse(written.as_bytes()).unwrap() == document);
            let read: serde_json::Value = serde_json::from_slice(written.as_bytes()).unwrap();
            prop_assert_eq!(read, serde_json::Value::Object(object));
        }
    }
}
