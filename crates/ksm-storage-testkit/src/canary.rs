//! Values that must be seen nowhere, and the search for them in what is shown.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// What every [`canary`] begins with.
pub const MARK: &str = "cAnArY";

/// A value to be kept secret. A search for [`MARK`] finds it, and a part of it that is shown too.
pub fn canary(name: impl fmt::Display) -> String {
    format!("{MARK}-{name}-9f8e7d6c5b4a")
}

/// Whether a canary is in the text.
pub fn is_shown(text: &str) -> bool {
    shows(text, MARK.as_bytes())
}

/// Whether the text shows `value`, of six bytes or more: in clear, in hexadecimal digits, or in base64 of either
/// alphabet, at each of the three offsets that bytes may have there.
pub fn shows(text: &str, value: &[u8]) -> bool {
    let hex = value.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let in_base64 = (0..3).any(|offset| {
        let encoded = STANDARD_NO_PAD.encode([&[0; 2][..offset], value].concat());
        // Less what the neighbours on both sides change.
        let part = &encoded[(offset * 8).div_ceil(6)..(offset + value.len()) * 8 / 6];
        text.contains(part) || text.contains(&part.replace('+', "-").replace('/', "_"))
    });
    std::str::from_utf8(value).is_ok_and(|value| text.contains(value))
        || text.to_ascii_lowercase().contains(&hex)
        || in_base64
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
            for form in [text.clone(), hex, STANDARD_NO_PAD.encode(&text), URL_SAFE.encode(&text)] {
                assert!(is_shown(&form) && shows(&form, value.as_bytes()), "{form}");
            }
        }
    }

    #[test]
    fn other_text_is_not() {
        let value = canary("one");
        for text in ["", "nothing here", "canary", "63416e4172", "Y0FuQXI"] {
            assert!(!is_shown(text), "{text}");
        }
        assert!(!shows(&canary("two"), value.as_bytes()));
    }
}
