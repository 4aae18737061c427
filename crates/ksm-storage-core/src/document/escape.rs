//! Unescapes JSON strings without leaving a copy behind.

use secrecy::SecretString;
use zeroize::Zeroizing;

/// Unescapes the inside of a JSON string, or returns the position of a lone surrogate. The parser has checked the rest.
pub(super) fn unescape(escaped: &str) -> Result<SecretString, usize> {
    if !escaped.contains('\\') {
        return Ok(SecretString::from(escaped));
    }
    // An escape is never shorter than the character it stands for, so this buffer does not grow.
    let mut text = Zeroizing::new(String::with_capacity(escaped.len()));
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let offset = escaped.len() - rest.len() + at;
        let (character, len) = match rest.as_bytes().get(at + 1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => unicode_escape(&rest[at..]).ok_or(offset)?,
            Some(&same) => (char::from(same), 2),
            None => return Err(offset),
        };
        text.push(character);
        rest = &rest[at + len..];
    }
    text.push_str(rest);
    Ok(SecretString::from(text.as_str()))
}

/// The character at the start of `rest`, which begins with `\u`, and the length of its escape.
fn unicode_escape(rest: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = rest.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(0)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, 6));
    }
    let pair = char::decode_utf16([first, unit(6)?]).next()?.ok()?;
    Some((pair, 12))
}
