//! Messages of the test server: a total length, then byte strings, each with its own length.

/// Encodes a message.
pub(crate) fn encode(parts: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![0; 4];
    for part in parts {
        message.extend(length(part.len()));
        message.extend(*part);
    }
    let body = length(message.len() - 4);
    message[..4].copy_from_slice(&body);
    message
}

/// Decodes the body of a message; returns `None` if it is malformed.
pub(crate) fn decode(mut body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    while !body.is_empty() {
        let (head, rest) = body.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*head)).ok()?;
        parts.push(rest.get(..length)?.to_vec());
        body = &rest[length..];
    }
    Some(parts)
}

/// Parses a decimal number.
pub(crate) fn number(part: &[u8]) -> Option<u64> {
    std::str::from_utf8(part).ok()?.parse().ok()
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap().to_be_bytes()
}
