//! The wire format that writers of this project share: which version id a write takes, and how its bytes are made unlike
//! all others. Both are frozen: a writer with another format would not exclude the ones there are.

use ksm_storage_core::{Payload, Version};
use uuid::{Uuid, uuid};

/// The namespace of successor ids.
const NAMESPACE: Uuid = uuid!("7c1d0a52-9b8e-4c55-8a35-0d5ae1c3f6b7");
/// Between a version and the number of a later slot.
const SEPARATOR: char = '\u{1f}';
const NONCE_BITS: usize = 64;

/// What framing adds to a payload: a line break and the nonce.
pub(crate) const FRAME: usize = 1 + NONCE_BITS;

/// The version id that a write on `version` takes, if the `slot - 1` slots before it are taken.
pub(crate) fn id(version: &Version, slot: u32) -> String {
    let name = match slot {
        ..=1 => version.as_str().to_owned(),
        _ => format!("{version}{SEPARATOR}{slot}"),
    };
    Uuid::new_v5(&NAMESPACE, name.as_bytes()).hyphenated().to_string()
}

/// The payload with `nonce` after it: a line break, then a blank for each 0 and a tab for each 1, lowest bit first.
pub(crate) fn frame(payload: &Payload, nonce: u64) -> Payload {
    let mut bytes = Vec::with_capacity(payload.len() + FRAME);
    bytes.extend_from_slice(payload.as_bytes());
    bytes.push(b'\n');
    bytes.extend((0..NONCE_BITS).map(|bit| if nonce >> bit & 1 == 0 { b' ' } else { b'\t' }));
    Payload::from(bytes)
}

/// The payload without a nonce, if it has one.
pub(crate) fn unframe(payload: Payload) -> Payload {
    let bytes = payload.as_bytes();
    let Some((head, tail)) = bytes.len().checked_sub(FRAME).map(|at| bytes.split_at(at)) else {
        return payload;
    };
    match tail {
        [b'\n', nonce @ ..] if nonce.iter().all(|byte| matches!(byte, b' ' | b'\t')) => {
            Payload::from(head.to_vec())
        }
        _ => payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_slots() {
        let version = Version::new("4f2f9d0e-7a35-4f0a-9ad6-2e5d6f1c8b11");
        assert_eq!(id(&version, 1), "20bed379-30b2-58fd-bb0c-66c0ca8faaad");
        assert_eq!(id(&version, 2), "894e0a8f-6229-556f-a6b7-e2a1e017586e");
        assert_eq!(
            id(&Version::new("terraform-20250627043834191900000095"), 1),
            "0a79d22e-551e-5176-9da4-74a40974ace0"
        );
        assert_eq!(id(&Version::new(""), 1), "64fa9774-558e-5238-91e1-eafcd9ba2ab8");
    }

    #[test]
    fn golden_nonce() {
        let framed = frame(&Payload::from("{}"), 0x8000_0000_0000_0005);
        let expected = format!("{{}}\n\t \t{}\t", " ".repeat(60));
        assert_eq!(framed.as_bytes(), expected.as_bytes());
    }

    #[test]
    fn a_nonce_is_taken_away_and_nothing_else() {
        for payload in ["", "{}", "{}\n", "{} \t "] {
            assert_eq!(unframe(frame(&payload.into(), u64::MAX)), payload.into());
            assert_eq!(unframe(payload.into()), payload.into());
        }
        let longer = format!("{{}}\n{}", " ".repeat(65));
        assert_eq!(unframe(longer.as_str().into()), longer.as_str().into());
        let other = format!("{{}}\n{}x", " ".repeat(63));
        assert_eq!(unframe(other.as_str().into()), other.as_str().into());
    }
}
