//! Foreign text in messages: version IDs, addresses and paths chosen by others.

use std::fmt::{self, Write};

/// Writes `text` on one line. Unprintable characters, line breaks above all, are escaped as in a Rust string.
pub(crate) fn write_line(f: &mut impl Write, text: &str) -> fmt::Result {
    text.chars().try_for_each(|char| match char {
        '\'' | '"' => f.write_char(char),
        _ => write!(f, "{}", char.escape_debug()),
    })
}

/// A writer that stays on one line by escaping unprintable characters and nothing else. Backslashes are kept, since
/// they may be part of a command.
pub(crate) struct OneLine<'a, W>(pub(crate) &'a mut W);

impl<W: Write> Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.chars().all(prints) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|char| match char {
            _ if prints(char) => self.0.write_char(char),
            _ => write!(self.0, "{}", char.escape_debug()),
        })
    }
}

fn prints(char: char) -> bool {
    matches!(char, '\'' | '"' | '\\') || char.escape_debug().len() == 1
}

/// Quotes `text` as one word of a POSIX shell command, on one line.
///
/// Every value in a command that an error or event shows goes through this function. Unprintable characters are escaped
/// within `$'…'`, which bash, zsh, ksh and POSIX 2024 support.
///
/// ```
/// use ksm_storage_core::shell_word;
///
/// assert_eq!(shell_word("/etc/ksm.json"), "/etc/ksm.json");
/// assert_eq!(shell_word("it's; rm -rf"), r"'it'\''s; rm -rf'");
/// assert_eq!(shell_word("1\n2"), r"$'1\n2'");
/// ```
pub fn shell_word(text: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "_@%+=:,./-".contains(char);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if text.chars().all(prints) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut word = String::from("$'");
    for char in text.chars() {
        match char {
            '\'' | '\\' => word.extend(['\\', char]),
            '\n' => word.push_str(r"\n"),
            _ if prints(char) => word.push(char),
            // Octal escapes of the bytes, because `\u` depends on the locale.
            _ => char.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| {
                word.extend(['\\', digit(byte >> 6), digit(byte >> 3 & 7), digit(byte & 7)]);
            }),
        }
    }
    word.push('\'');
    word
}

fn digit(value: u8) -> char {
    char::from(b'0' + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        let mut line = String::new();
        write_line(&mut line, text).unwrap();
        line
    }

    #[test]
    fn foreign_text_stays_on_one_line() {
        assert_eq!(line("terraform-1 it's \"ü\""), "terraform-1 it's \"ü\"");
        assert_eq!(line("a\n[ERROR] b\r\u{1b}[0m"), r"a\n[ERROR] b\r\u{1b}[0m");
        assert_eq!(line("\u{202e}x\u{2028}\\"), r"\u{202e}x\u{2028}\\");
    }

    #[test]
    fn values_are_single_words() {
        for (text, word) in [
            ("", "''"),
            ("arn:aws:x/y_z+1=2,3@4%", "arn:aws:x/y_z+1=2,3@4%"),
            ("a b", "'a b'"),
            ("`x` $(y) \"z\" \\", "'`x` $(y) \"z\" \\'"),
            ("it's", r"'it'\''s'"),
            ("ü", "'ü'"),
            ("1;touch x\n\u{1b}'\\\u{202e}", r"$'1;touch x\n\033\'\\\342\200\256'"),
        ] {
            assert_eq!(shell_word(text), word);
            assert!(!shell_word(text).contains(char::is_control));
        }
    }

    /// Checked against real shells.
    #[cfg(unix)]
    #[test]
    fn shells_read_the_value_back() {
        for text in ["a b", "it's", "1;touch x\n\u{1b}'\\\u{202e}\t\"$HOME\"", "-n", "`id`", "~", "*", "\\n"]
        {
            let script = format!("printf %s {}", shell_word(text));
            let Ok(output) = std::process::Command::new("bash").args(["-c", &script]).output() else {
                return;
            };
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "{script}");
        }
    }
}
