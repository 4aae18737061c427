//! The runbook has an entry for each kind of error, and `main` prints the line of each.

use keeper_secrets_manager_core::KSMRError;
use ksm_storage_core::Location;

use crate::{Error, ErrorKind};

/// All kinds. Omitting one is a compile error.
macro_rules! kinds {
    ($($kind:ident)*) => {{
        fn _complete(kind: ErrorKind) {
            match kind { $(ErrorKind::$kind)|* => {} }
        }
        [$((ErrorKind::$kind, stringify!($kind))),*]
    }};
}

#[test]
fn runbook_explains_every_kind() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let kinds = kinds![
        AccessDenied InvalidArgument InvalidConfig InvalidToken NotSaved Panicked Runtime Sdk Storage Throttled TokenMismatch TokenSpent Unbound Unreachable
    ];
    for (kind, name) in kinds {
        let location = Location::new("memory", "1");
        let error = match kind {
            ErrorKind::Sdk => Error::sdk(&KSMRError::RecordNotFoundError(String::new()), None, location),
            ErrorKind::Panicked => Error::panicked("binding the client", None, location),
            kind => Error::new(kind, location),
        };
        assert_eq!(format!("{error:?}"), error.to_string());
        let error = error.to_string();
        let row =
            page.lines().find_map(|line| line.strip_prefix(&format!("| `{name}` | `"))).unwrap_or_default();
        let words = row.split('`').next().unwrap();
        assert!(
            !words.is_empty() && error.contains(words),
            "the row of {name} begins with {words:?}, and the error is {error}"
        );
    }
    let (_, table) = page.split_once("<!-- begin keeper kinds -->").unwrap();
    let table = table.split_once("<!-- end keeper kinds -->").unwrap().0;
    assert_eq!(table.matches("\n| `").count(), kinds.len(), "a row is about no kind");
}
