//! Encoding of queries and forms.

/// The fields of a query or of a form.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(text: &str) -> Self {
        let fields = text.split('&').filter_map(|field| {
            let (name, value) = field.split_once('=')?;
            Some((name.to_owned(), percent_decode(&value.replace('+', " "))))
        });
        Self(fields.collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// Decodes `%XX`; everything else is kept.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        } else {
            bytes.push(b'%');
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form = Form::parse("RoleArn=arn%3Aaws%3aiam&empty=&session=a+b%2Bc&bare&odd=50%25%zz%+F%");
        assert_eq!(form.get("RoleArn"), Some("arn:aws:iam"));
        assert_eq!(form.get("empty"), Some(""));
        assert_eq!(form.get("session"), Some("a b+c"));
        assert_eq!(form.get("bare"), None);
        assert_eq!(form.get("odd"), Some("50%%zz% F%"));
    }
}
