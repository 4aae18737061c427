//! The wire format that this project's writers share: the version IDs of successors, and the nonce bit that marks a
//! staged version. It is frozen: writers with another format would not exclude existing ones.

use ksm_storage_core::{Payload, Version, read_nonce};
use uuid::{Uuid, uuid};

use crate::protocol::{Placement, VersionId};

/// Stands for the version of a secret that has no value yet. No version ID is as short.
pub(crate) const NO_VALUE: &str = "";
/// The namespace of successor IDs.
const NAMESPACE: Uuid = uuid!("7c1d0a52-9b8e-4c55-8a35-0d5ae1c3f6b7");
/// Separates a version from the number of a later slot.
const SEPARATOR: char = '\u{1f}';
/// The nonce bit that is set in staged versions. Readers ignore it; for writers, it states the placement of a version
/// without labels.
const STAGED_BIT: u64 = 1 << 63;

impl VersionId for Version {
    const SLOTS: u8 = 32;
    const GENERATIONS: usize = 32;

    fn slot(&self, number: u8) -> Self {
        let version = self.as_str();
        let name = match number {
            ..=1 => version.to_owned(),
            _ => format!("{version}{SEPARATOR}{number}"),
        };
        Self::new(Uuid::new_v5(&NAMESPACE, name.as_bytes()).hyphenated().to_string())
    }

    fn is_no_value(&self) -> bool {
        self.as_str() == NO_VALUE
    }
}

/// A nonce with these random bits, for a put with this placement.
pub(crate) fn nonce(random: u64, placement: Placement) -> u64 {
    match placement {
        Placement::Plain => random & !STAGED_BIT,
        Placement::Staged => random | STAGED_BIT,
    }
}

/// Returns true if a version has the form of a successor, which randomly generated IDs never have.
pub(crate) fn is_slot(version: &Version) -> bool {
    Uuid::try_parse(version.as_str()).is_ok_and(|id| {
        id.get_version() == Some(uuid::Version::Sha1) && id.hyphenated().to_string() == version.as_str()
    })
}

/// The placement of the put that stored `value`, if this project wrote it.
pub(crate) fn placement(value: &Payload) -> Option<Placement> {
    let nonce = read_nonce(value)?;
    Some(if nonce & STAGED_BIT == 0 { Placement::Plain } else { Placement::Staged })
}

#[cfg(test)]
mod tests {
    use ksm_storage_core::append_nonce;

    use super::*;

    #[test]
    fn golden_slots() {
        let version = Version::new("4f2f9d0e-7a35-4f0a-9ad6-2e5d6f1c8b11");
        assert_eq!(version.slot(1).as_str(), "20bed379-30b2-58fd-bb0c-66c0ca8faaad");
        assert_eq!(version.slot(2).as_str(), "894e0a8f-6229-556f-a6b7-e2a1e017586e");
        assert_eq!(
            Version::new("terraform-20250627043834191900000095").slot(1).as_str(),
            "0a79d22e-551e-5176-9da4-74a40974ace0"
        );
        assert_eq!(Version::new("").slot(1).as_str(), "64fa9774-558e-5238-91e1-eafcd9ba2ab8");
    }

    #[test]
    fn random_ids_are_no_slots() {
        assert!(is_slot(&Version::new("any").slot(2)));
        for id in ["", "terraform-20250627043834191900000095", "4f2f9d0e-7a35-4f0a-9ad6-2e5d6f1c8b11"] {
            assert!(!is_slot(&Version::new(id)), "{id}");
        }
    }

    #[test]
    fn golden_placements() {
        let random = 0x8000_0000_0000_0005;
        for (put, last) in [(Placement::Plain, ' '), (Placement::Staged, '\t')] {
            let framed = append_nonce(&Payload::from("{}"), nonce(random, put));
            let expected = format!("{{}}\n\t \t{}{last}", " ".repeat(60));
            assert_eq!(framed.as_bytes(), expected.as_bytes());
            assert_eq!(placement(&framed), Some(put));
        }
        assert_eq!(placement(&Payload::from("{}")), None);
    }
}
