//! Canary values that must not appear anywhere, and the search for them in output.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// The first characters of every [`canary`].
pub const MARK: &str = "cAnArY";

/// A secret value for tests. A search for [`MARK`] finds it even if only its beginning is shown.
pub fn canary(name: impl fmt::Display) -> String {
    format!("{MARK}-{name}-9f8e7d6c5b4a")
}

/// Returns true if the text contains a canary.
pub fn is_shown(text: &str) -> bool {
    shows(text, MARK.as_bytes())
}

/// Returns true if the text shows `value`, which has at least six bytes: in clear, escaped, as hexadecimal digits with
/// or without separators, as a list of decimal or hexadecimal numbers (the output of a derived `Debug`), or in base64
/// of either alphabet at any of the three alignments.
pub fn shows(text: &str, value: &[u8]) -> bool {
    let hex = value.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let in_base64 = (0..3).any(|offset| {
        let encoded = STANDARD_NO_PAD.encode([&[0; 2][..offset], value].concat());
        // Without the characters that neighbouring bytes influence.
        let part = &encoded[(offset * 8).div_ceil(6)..(offset + value.len()) * 8 / 6];
        text.contains(part) || text.contains(&part.replace('+', "-").replace('/', "_"))
    });
    std::str::from_utf8(value).is_ok_and(|value| text.contains(value))
        || text.to_ascii_lowercase().contains(&hex)
        || in_base64
        || numbers(text, 10).any(|found| contains(&found, value))
        || numbers(text, 16).any(|found| contains(&found, value))
        || contains(&unescaped(text), value)
}

fn contains(bytes: &[u8], value: &[u8]) -> bool {
    bytes.windows(value.len()).any(|window| window == value)
}

/// Decodes runs of numbers in `text` into bytes. Anything that is not a one-byte number ends a run; separators do not.
fn numbers(text: &str, radix: u32) -> impl Iterator<Item = Vec<u8>> {
    let mut runs = vec![Vec::new()];
    for word in
        text.split(|separator: char| !separator.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
    {
        let digits = word.strip_prefix("0x").filter(|_| radix == 16).unwrap_or(word);
        let digits = digits.strip_suffix("u8").unwrap_or(digits);
        match u8::from_str_radix(digits, radix) {
            Ok(byte) => runs.last_mut().into_iter().for_each(|run| run.push(byte)),
            Err(_) => runs.push(Vec::new()),
        }
    }
    runs.into_iter().filter(|run| !run.is_empty())
}

/// Decodes the escapes of Rust, JSON and URLs in `text`: `\u{63}`, `\u0063`, `\x63`, `%63`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((byte, length)) = escape(rest) {
            bytes.push(byte);
            rest = &rest[length..];
        } else {
            bytes.extend(first.to_string().bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    bytes
}

/// Decodes the escape at the start of `text`: the byte, and the escape's length.
fn escape(text: &str) -> Option<(u8, usize)> {
    let (prefix, digits) = ["\\u{", "\\u00", "\\x", "%"]
        .into_iter()
        .find_map(|prefix| Some((prefix, text.strip_prefix(prefix)?)))?;
    let byte = u8::from_str_radix(digits.get(..2)?, 16).ok()?;
    let closed = if prefix.ends_with('{') { digits[2..].starts_with('}').then_some(1)? } else { 0 };
    Some((byte, prefix.len() + 2 + closed))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE;

    use super::*;

    #[test]
    fn every_form_is_found() {
        let value = canary("\u{ff}?>~");
        for before in ["", "x", "xx", "xxx"] {
            let text = format!("{before}{value}{before}");
            let hex = text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02X}"));
            let spread = |form: fn(u8) -> String| text.bytes().map(form).collect::<String>();
            let numbers = [
                format!("{:?}", text.as_bytes()),
                format!("{:#?}", text.as_bytes()),
                format!("{:x?}", text.as_bytes()),
                format!("{:#04X?}", text.as_bytes()),
                spread(|byte| format!("{byte:02x}:")),
                spread(|byte| format!("{byte}u8, ")),
            ];
            let escapes = [
                spread(|byte| format!("\\x{byte:02x}")),
                spread(|byte| format!("\\u{byte:04X}")),
                spread(|byte| format!("\\u{{{byte:x}}}")),
                spread(|byte| format!("%{byte:02X}")),
                format!("{value:?}"),
            ];
            let others = [text.clone(), hex, STANDARD_NO_PAD.encode(&text), URL_SAFE.encode(&text)];
            for form in others.into_iter().chain(numbers).chain(escapes) {
                assert!(is_shown(&form) && shows(&form, value.as_bytes()), "{form}");
            }
        }
    }

    #[test]
    fn other_text_is_not() {
        let value = canary("one");
        for text in [
            "",
            "nothing here",
            "canary",
            "63416e4172",
            "Y0FuQXI",
            "99, 65, 110, 65, 114",
            "[99, 65, 110, a, 114, 89]",
        ] {
            assert!(!is_shown(text), "{text}");
        }
        assert!(!shows(&canary("two"), value.as_bytes()));
    }
}
