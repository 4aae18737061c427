//! The runbook has an entry for each kind of error.

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
        AccessDenied Conflict Credentials Displaced Interrupted InvalidArgument InvalidConfig NotFound QuotaExceeded ReadOnly Refused Runtime
        Throttled Timeout TooLarge Unavailable Unexpected Unsupported
    ];
    for (kind, name) in kinds {
        assert!(page.contains(&format!("\n### `{name}`\n")), "no section about {name}");
        let words = Error::new(kind, "message").to_string().replace(": message", "");
        let row = format!("| `{words}` | [`{name}`](#{}) |\n", name.to_lowercase());
        assert!(page.contains(&row), "no row {row}");
    }
    assert_eq!(page.matches("\n### `").count(), kinds.len(), "a section is about no kind");
}
