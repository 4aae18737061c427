//! The version ID that a write takes. The format is frozen: a writer with another one would not exclude the ones there
//! are.

use ksm_storage_core::Version;
use uuid::{Uuid, uuid};

/// The namespace of successor ids.
const NAMESPACE: Uuid = uuid!("7c1d0a52-9b8e-4c55-8a35-0d5ae1c3f6b7");
/// Between a version and the number of a later slot.
const SEPARATOR: char = '\u{1f}';
/// The version id that a write on `version` takes, if the `slot - 1` slots before it are taken.
pub(crate) fn id(version: &Version, slot: u32) -> String {
    let name = match slot {
        ..=1 => version.as_str().to_owned(),
        _ => format!("{version}{SEPARATOR}{slot}"),
    };
    Uuid::new_v5(&NAMESPACE, name.as_bytes()).hyphenated().to_string()
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
}
