//! Nonce framing, for stores that keep bytes but no versions.
//!
//! A nonce after the JSON makes the bytes of every write unique; JSON parsers skip it. The format is frozen: a writer
//! with a different format would neither recognize nor strip existing nonces.

use crate::Payload;

const BITS: usize = 64;

/// The number of bytes that [`append_nonce`] adds.
pub const NONCE_LEN: usize = 1 + BITS;

/// Returns `payload` followed by a newline and the 64 bits of `nonce`, lowest bit first: a space for each 0 and a tab
/// for each 1.
///
/// ```
/// use ksm_storage_core::{NONCE_LEN, Payload, append_nonce, read_nonce, strip_nonce};
///
/// let payload = Payload::from("{}");
/// let framed = append_nonce(&payload, 7);
/// assert_eq!(framed.len(), payload.len() + NONCE_LEN);
/// assert_eq!(read_nonce(&framed), Some(7));
/// assert_eq!(strip_nonce(framed), payload);
/// ```
pub fn append_nonce(payload: &Payload, nonce: u64) -> Payload {
    let mut bytes = Vec::with_capacity(payload.len() + NONCE_LEN);
    bytes.extend_from_slice(payload.as_bytes());
    bytes.push(b'\n');
    bytes.extend((0..BITS).map(|bit| if nonce >> bit & 1 == 0 { b' ' } else { b'\t' }));
    Payload::from(bytes)
}

/// Removes the nonce and nothing else. A payload without a nonce is returned unchanged.
pub fn strip_nonce(payload: Payload) -> Payload {
    match split(&payload) {
        Some((head, _)) => Payload::from(head.to_vec()),
        None => payload,
    }
}

/// The nonce at the end of `payload`, if there is one.
pub fn read_nonce(payload: &Payload) -> Option<u64> {
    let (_, bits) = split(payload)?;
    Some(bits.iter().rev().fold(0, |nonce, byte| nonce << 1 | u64::from(*byte == b'\t')))
}

fn split(payload: &Payload) -> Option<(&[u8], &[u8])> {
    let (head, tail) = payload.as_bytes().split_at(payload.len().checked_sub(NONCE_LEN)?);
    match tail {
        [b'\n', bits @ ..] if bits.iter().all(|byte| matches!(byte, b' ' | b'\t')) => Some((head, bits)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_vectors() {
        for (payload, nonce, framed) in [
            ("{}", 0x8000_0000_0000_0005, format!("{{}}\n\t \t{}\t", " ".repeat(60))),
            ("", 0, format!("\n{}", " ".repeat(64))),
            ("[1]\n", u64::MAX, format!("[1]\n\n{}", "\t".repeat(64))),
        ] {
            let appended = append_nonce(&payload.into(), nonce);
            assert_eq!(appended.as_bytes(), framed.as_bytes());
            assert_eq!(appended.len(), payload.len() + NONCE_LEN);
        }
    }

    #[test]
    fn nonce_is_stripped_and_nothing_else() {
        for nonce in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            for payload in ["", "{}", "{}\n", "{} \t "].map(Payload::from) {
                let framed = append_nonce(&payload, nonce);
                assert_eq!(read_nonce(&framed), Some(nonce));
                assert_eq!(strip_nonce(framed), payload);
                assert_eq!((read_nonce(&payload), strip_nonce(payload.clone())), (None, payload));
            }
        }
        for other in
            [format!("{{}}\n{}", " ".repeat(65)), format!("{{}}\n{}x", " ".repeat(63)), " ".repeat(65)]
        {
            let other = Payload::from(other);
            assert_eq!((read_nonce(&other), strip_nonce(other.clone())), (None, other));
        }
    }
}
