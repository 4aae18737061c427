//! What makes the bytes of every write unlike all others, and the names of store events.

use std::{
    fs::Metadata,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::LazyLock,
};

use ksm_storage_core::{Payload, Version};

use crate::os;

const BITS: usize = 64;
/// What framing adds to a payload: a line break and the nonce.
pub(crate) const FRAME: usize = 1 + BITS;

/// Versions are logged. With a key of this process their hash says nothing about the content, however guessable that is.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The payload, a line break, and the bits of `nonce`, lowest first: a blank for each 0 and a tab for each 1.
pub(crate) fn frame(payload: &Payload, nonce: u64) -> Payload {
    let mut bytes = Vec::with_capacity(payload.len() + FRAME);
    bytes.extend_from_slice(payload.as_bytes());
    bytes.push(b'\n');
    bytes.extend((0..BITS).map(|bit| if nonce & (1 << bit) == 0 { b' ' } else { b'\t' }));
    Payload::from(bytes)
}

/// The payload without its frame, and the nonce; or as it is, if it has none.
pub(crate) fn unframe(bytes: Payload) -> (Payload, Option<u64>) {
    let Some(at) = bytes.len().checked_sub(FRAME) else { return (bytes, None) };
    let (head, tail) = bytes.as_bytes().split_at(at);
    let [b'\n', bits @ ..] = tail else { return (bytes, None) };
    let mut nonce = 0;
    for (bit, byte) in bits.iter().enumerate() {
        match byte {
            b' ' => {}
            b'\t' => nonce |= 1 << bit,
            _ => return (bytes, None),
        }
    }
    (Payload::from(head.to_vec()), Some(nonce))
}

/// The version of a file with these bytes. The nonce tells the writes of this crate apart. With those of others, and
/// when somebody puts an earlier file back, it takes the file's identity, its times and its content.
pub(crate) fn of_file(bytes: &Payload, nonce: Option<u64>, metadata: &Metadata) -> Version {
    let mut hasher = KEY.build_hasher();
    os::identity(metadata).hash(&mut hasher);
    bytes.as_bytes().hash(&mut hasher);
    let tag = hasher.finish();
    Version::new(match nonce {
        Some(nonce) => format!("{nonce:016x}-{tag:016x}"),
        None => format!("foreign-{tag:016x}"),
    })
}

/// The version of there being no file, `last` being the nonce of the last writer that began to write one.
pub(crate) fn of_nothing(last: Option<u64>) -> Version {
    Version::new(format!("absent-{:016x}", last.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_frame() {
        let framed = frame(&Payload::from("{}"), 0x8000_0000_0000_0005);
        assert_eq!(framed.as_bytes(), format!("{{}}\n\t \t{}\t", " ".repeat(60)).as_bytes());
    }

    /// As after a write in place within one tick of the file system's clock.
    #[test]
    fn other_content_has_another_version_whatever_the_times_say() {
        let metadata = std::fs::metadata(env!("CARGO_MANIFEST_DIR")).unwrap();
        for nonce in [None, Some(7)] {
            let [one, other] = ["one", "two"].map(|content| of_file(&content.into(), nonce, &metadata));
            assert_ne!(one, other);
            assert_eq!(one, of_file(&"one".into(), nonce, &metadata));
        }
    }

    #[test]
    fn a_frame_is_taken_away_and_nothing_else() {
        for nonce in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            for payload in ["", "{}", "{}\n", "{} \t "] {
                let payload = Payload::from(payload);
                assert_eq!(unframe(frame(&payload, nonce)), (payload.clone(), Some(nonce)));
                assert_eq!(unframe(payload.clone()), (payload, None));
            }
        }
        for other in
            [format!("{{}}\n{}", " ".repeat(65)), format!("{{}}\n{}x", " ".repeat(63)), " ".repeat(65)]
        {
            assert_eq!(unframe(Payload::from(other.as_str())), (Payload::from(other), None));
        }
    }
}
