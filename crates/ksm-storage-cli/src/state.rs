//! The bind state of a stored configuration, in words, with its remedy.

use ksm_storage::BindState;

/// The problem of a configuration that is not bound.
pub(crate) fn problem(state: BindState) -> String {
    match state {
        BindState::Invalid(key) => format!("the configuration is invalid: {key} is truncated or malformed"),
        BindState::Unrecognized => "the stored document is not a Keeper configuration".to_owned(),
        state => format!("the configuration is {}", state.as_str()),
    }
}

/// The remedy; `None` for a bound configuration, which needs none.
pub(crate) fn remedy(state: BindState) -> Option<&'static str> {
    Some(match state {
        BindState::Bound => return None,
        BindState::Empty => "bind it with `ksm-storage bind`",
        BindState::Unbound => {
            "bind it with `ksm-storage bind`, with the same token if a bind was begun; if that token is spent, use a \
             new one with `ksm-storage bind --rebind`"
        }
        BindState::Invalid(_) => {
            "restore an earlier version of it, or bind again with `ksm-storage bind --rebind`"
        }
        BindState::Unrecognized => {
            "choose another storage, or store a configuration with `ksm-storage import --replace`"
        }
    })
}

#[cfg(test)]
mod tests {
    use ksm_storage::ConfigKey;

    use super::*;

    #[test]
    fn each_state_has_its_remedy() {
        assert_eq!(remedy(BindState::Bound), None);
        for (state, words, command) in [
            (BindState::Empty, "is empty", "`ksm-storage bind`"),
            (BindState::Unbound, "is unbound", "`ksm-storage bind --rebind`"),
            (BindState::Unrecognized, "not a Keeper configuration", "import --replace"),
            (BindState::Invalid(ConfigKey::AppKey), "appKey is truncated", "restore an earlier version"),
        ] {
            assert!(problem(state).contains(words), "{}", problem(state));
            assert!(remedy(state).unwrap().contains(command), "{:?}", remedy(state));
        }
    }
}
