//! Profile files, parsed like boto3 does and rewritten for the SDK's parser.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_runtime::env_config::file::EnvConfigFileKind;
use ksm_storage_core::{Error, ErrorKind, Result};

use crate::file;

/// A configuration file as found on disk.
pub(crate) struct ProfileFile {
    pub(crate) kind: EnvConfigFileKind,
    path: PathBuf,
    /// False if the path begins with `~` and the home directory is unknown.
    is_located: bool,
    /// The file with section names that the SDK accepts, on unchanged lines; `None` if there is no such file.
    pub(crate) text: Option<String>,
    /// Unquoted names that contain blanks, which boto3 rejects.
    unquoted: Vec<String>,
}

impl ProfileFile {
    pub(crate) async fn read(
        kind: EnvConfigFileKind,
        path: &str,
        home: Option<&str>,
        limit: Duration,
    ) -> Result<Self> {
        let (path, is_located) = match (path.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => (Path::new(home).join(rest), true),
            (rest, _) => (PathBuf::from(path), rest.is_none()),
        };
        let mut file = Self { kind, path, is_located, text: None, unquoted: Vec::new() };
        if !is_located {
            return Ok(file);
        }
        match file::read(&file.path, limit).await {
            Ok(bytes) => {
                let text = std::str::from_utf8(&bytes).map_err(|error| {
                    let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
                    file.unreadable(Some(line), "it is not UTF-8")
                })?;
                let text = file.normalize(text.trim_start_matches('\u{feff}'))?;
                file.text = Some(text);
            }
            Err(reason) if reason.is_missing() => {}
            Err(reason) => return Err(file.unreadable(None, &reason.to_string())),
        }
        Ok(file)
    }

    fn unreadable(&self, line: Option<usize>, problem: &str) -> Error {
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        let message = format!(
            "the AWS configuration file {:?} cannot be read{line}: {problem}",
            self.path.display().to_string()
        );
        Error::not_applied(ErrorKind::InvalidArgument, message).with_hint(
            "correct that line or the file's permissions, or unset the variable that names the file",
        )
    }

    /// Returns the lines with `=` for `:`, encoded section names, and no comments.
    fn normalize(&mut self, text: &str) -> Result<String> {
        let mut normal = String::with_capacity(text.len());
        let (mut has_section, mut has_key, mut is_nested) = (false, false, false);
        for (number, line) in text.lines().enumerate() {
            let broken = |problem: &str| Err(self.unreadable(Some(number + 1), problem));
            let content = line.trim();
            let is_indented = line.starts_with([' ', '\t']);
            if content.is_empty() || content.starts_with(['#', ';']) {
                // Lines keep their numbers.
            } else if is_indented && has_key {
                if is_nested && !content.contains('=') {
                    return broken("expected an indented line KEY = VALUE");
                }
                let _ = write!(normal, " {content}");
            } else if let Some(header) = content.strip_prefix('[') {
                let Some((header, _)) = header.rsplit_once(']') else {
                    return broken("a section without its closing bracket");
                };
                (has_section, has_key) = (true, false);
                let section = self.section(header.trim());
                let _ = write!(normal, "[{section}]");
            } else if let Some(at) = content.find(['=', ':']) {
                let (key, value) = (content[..at].trim(), content[at + 1..].trim());
                if !has_section {
                    return broken("a line before the first [section]");
                }
                if key.is_empty() {
                    return broken("a value without a key");
                }
                (has_key, is_nested) = (true, value.is_empty());
                let _ = write!(normal, "{key} = {value}");
            } else {
                return broken("expected [SECTION], KEY = VALUE or a comment");
            }
            normal.push('\n');
        }
        Ok(normal)
    }

    /// The section's name in the SDK's form. A section that is not a profile is not ours.
    fn section(&mut self, header: &str) -> String {
        if matches!(self.kind, EnvConfigFileKind::Credentials) {
            return encode(header);
        }
        if header == "default" {
            return header.to_owned();
        }
        match words(header).as_deref() {
            Some([kind, name]) if ["profile", "sso-session", "services"].contains(&&**kind) => {
                format!("{kind} {}", encode(name))
            }
            Some([kind, _, _, ..]) if kind == "profile" => {
                self.unquoted.push(header.trim_start_matches("profile").trim().to_owned());
                "ignored".to_owned()
            }
            _ => "ignored".to_owned(),
        }
    }

    /// True if the name is present, but without the quotes that it needs.
    pub(crate) fn has_unquoted(&self, name: &str) -> bool {
        self.unquoted.iter().any(|other| other == name)
    }

    /// The path, for messages.
    pub(crate) fn name(&self) -> String {
        let missing = if self.text.is_none() { " (which does not exist)" } else { "" };
        format!("{}{missing}", self.path.display().to_string().escape_debug())
    }

    pub(crate) fn is_located(&self) -> bool {
        self.is_located
    }
}

/// Encodes a name as an SDK identifier, which allows neither blanks nor non-ASCII letters.
pub(crate) fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-/.@:+".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Splits a header into words like a shell; `None` if a quote is not closed.
fn words(header: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = header.chars();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        end if end == char => break,
                        '\\' if char == '"' => word.push(chars.next()?),
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: EnvConfigFileKind) -> ProfileFile {
        ProfileFile { kind, path: "config".into(), is_located: true, text: None, unquoted: Vec::new() }
    }

    #[test]
    fn files_are_read_as_by_boto3() {
        let text = "[profile \"My Mac\"] trailing\r\n# comment\n  ; comment\nregion: us-east-1\nKey = a: b # c\n\
                    services=\n  s3 = x\n[profile M\u{fc}nchen]\n[plain]\nx = y\n[profile My Mac]\n[services 'a b']\n[default]\n";
        let mut config = file(EnvConfigFileKind::Config);
        assert_eq!(
            config.normalize(text).unwrap(),
            "[profile My%20Mac]\n\n\nregion = us-east-1\nKey = a: b # c\nservices = \n s3 = x\n[profile M%C3%BCnchen]\n\
             [ignored]\nx = y\n[ignored]\n[services a%20b]\n[default]\n"
        );
        assert!(config.has_unquoted("My Mac") && !config.has_unquoted("plain"));
        let mut credentials = file(EnvConfigFileKind::Credentials);
        assert_eq!(credentials.normalize("[My Mac]\na:b\n[100%]").unwrap(), "[My%20Mac]\na = b\n[100%25]\n");
    }

    #[test]
    fn broken_lines_are_numbered() {
        for (text, line, problem) in [
            ("region = x", 1, "before the first"),
            ("\n[default\n", 2, "closing bracket"),
            ("[default]\nregion\n", 2, "expected [SECTION]"),
            ("[default]\n= x\n", 2, "without a key"),
            ("[default]\nservices =\n  x\n", 3, "indented line"),
        ] {
            let error = file(EnvConfigFileKind::Config).normalize(text).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&format!("\"config\" cannot be read, line {line}: ")), "{text}");
            assert!(text.contains(problem), "{text}");
        }
    }
}
