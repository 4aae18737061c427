//! The host name of Keeper's service, from a caller, a token, the environment or a stored configuration.

use std::net::{Ipv4Addr, Ipv6Addr};

use keeper_secrets_manager_core::constants::get_keeper_servers;

/// The longest name that DNS allows.
const MAX_LEN: usize = 253;
/// Region codes that users spell differently from the SDK.
const ALIASES: [(&str, &str); 1] = [("US_GOV", "GOV")];

/// The host of a region such as `EU`, ignoring case.
pub(crate) fn of_region(code: &str) -> Option<&'static str> {
    let code = code.to_ascii_uppercase();
    let code = ALIASES.iter().find(|(alias, _)| *alias == code).map_or(&*code, |(_, code)| code);
    get_keeper_servers().get(code).copied()
}

/// The host to store, parsed from a region code or a host name with or without `https://`. The error is a constant.
pub(crate) fn parse(text: &str) -> Result<String, &'static str> {
    let text = text.trim_end_matches(['\r', '\n']);
    if let Some(host) = of_region(text) {
        return Ok(host.to_owned());
    }
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
    if scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case("https")) {
        return Err("its scheme is not https");
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if authority.contains('@') {
        return Err("it contains a user name or a password");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    check_name(host)?;
    let port = port.map(str::parse::<u16>).transpose().map_err(|_| "its port is not a number below 65536")?;
    match (port, path) {
        (None | Some(443), "" | "/") => Ok(host.to_owned()),
        // The only form with a port that the SDK uses unchanged (17.3.0), for tests with local services.
        (Some(1..), "/http") if scheme.is_none() => Ok(rest.to_owned()),
        (Some(_), "" | "/") => Err("Keeper's SDK drops the port and connects to 443; omit the port"),
        _ => Err("it has a path; give only the host name"),
    }
}

/// Checks a stored host. Any form that an SDK reads is valid, unless it shows a password or breaks a line.
pub(crate) fn check_stored(text: &str) -> Result<(), &'static str> {
    match text {
        _ if text.contains('@') => Err("it contains a user name or a password"),
        _ if !text.is_ascii() => Err("it is not ASCII"),
        _ if text.contains(|char: char| char.is_whitespace() || char.is_control()) => {
            Err("it contains white space or a control character")
        }
        _ => Ok(()),
    }
}

/// Checks a name without scheme, port and path.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    if let Some(address) = name.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        return address.map(drop).ok_or("its IPv6 address is malformed");
    }
    if name.chars().any(|char| char.is_whitespace() || char.is_control()) {
        return Err("it contains white space or a control character");
    }
    if !name.is_ascii() {
        return Err("it is not ASCII; write an international name in the form xn--…");
    }
    if name.contains(':') {
        return Err("it contains a colon; write an IPv6 address in square brackets");
    }
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > MAX_LEN || !name.split('.').all(is_label) {
        return Err("it is neither a host name nor a region");
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return name.parse::<Ipv4Addr>().map(drop).map_err(|_| "its IPv4 address is malformed");
    }
    if !name.contains('.') && !name.eq_ignore_ascii_case("localhost") {
        return Err("it is not a region (US, EU, AU, GOV, JP, CA, IL5), and a host name has a dot");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_parsed_exactly() {
        for (text, host) in [
            ("US", "keepersecurity.com"),
            ("eu\n", "keepersecurity.eu"),
            ("Us_Gov", "govcloud.keepersecurity.us"),
            ("gov", "govcloud.keepersecurity.us"),
            ("keepersecurity.com.au\r\n", "keepersecurity.com.au"),
            ("https://keepersecurity.jp", "keepersecurity.jp"),
            ("HTTPS://keepersecurity.ca/", "keepersecurity.ca"),
            ("keepersecurity.com:443", "keepersecurity.com"),
            ("keepersecurity.com.", "keepersecurity.com."),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("10.0.0.7", "10.0.0.7"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:8443/http", "127.0.0.1:8443/http"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(host), "{text:?}");
        }
    }

    #[test]
    fn malformed_hosts_are_rejected() {
        const NAME: &str = "neither a host name nor a region";
        const REGION: &str = "it is not a region (US, EU, AU, GOV, JP, CA, IL5)";
        const SPACE: &str = "white space or a control character";
        const LOGIN: &str = "a user name or a password";
        const SCHEME: &str = "its scheme is not https";
        const PATH: &str = "it has a path";
        const DROPPED: &str = "Keeper's SDK drops the port";
        const PORT: &str = "its port is not a number";
        const IPV4: &str = "its IPv4 address is malformed";
        const IPV6: &str = "its IPv6 address is malformed";
        let (long, labels) = ("a".repeat(1 << 20), "a.".repeat(127) + "b");
        let label = "a".repeat(64) + ".example";
        for (text, reason) in [
            ("", NAME),
            (" ", SPACE),
            (".", NAME),
            ("EUROPE", REGION),
            ("US ", SPACE),
            (" US", SPACE),
            ("keepersecurity", REGION),
            ("keeper security.com", SPACE),
            ("keepersecurity.com\0", SPACE),
            ("keeper\nsecurity.com", SPACE),
            ("keepersecurity..com", NAME),
            ("-keeper.com", NAME),
            ("keeper-.com", NAME),
            ("keeper_security.com", NAME),
            ("'keepersecurity.com'", NAME),
            ("\"US\"", NAME),
            ("büro.example", "it is not ASCII"),
            ("user@keepersecurity.com", LOGIN),
            ("https://user:s3cret@keepersecurity.com", LOGIN),
            ("http://keepersecurity.com", SCHEME),
            ("ftp://keepersecurity.com", SCHEME),
            ("https://", NAME),
            ("keepersecurity.com/api", PATH),
            ("keepersecurity.com?x=1", NAME),
            ("keepersecurity.com#x", NAME),
            ("keepersecurity.com:8443", DROPPED),
            ("keepersecurity.com:0", DROPPED),
            ("keepersecurity.com:65536", PORT),
            ("keepersecurity.com:", PORT),
            ("keepersecurity.com:0/http", PATH),
            ("https://127.0.0.1:8443/http", PATH),
            ("1.2.3", IPV4),
            ("1.2.3.256", IPV4),
            ("::1", "it contains a colon"),
            ("[::1", IPV6),
            ("[::g]", IPV6),
            ("[]", IPV6),
            (&label, NAME),
            (&labels, NAME),
            (&long, NAME),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.contains(reason), "{text:?}: {why}");
            assert!(!why.contains('\n') && !why.contains("s3cret"), "{why}");
        }
        let longest = &labels[2..];
        assert_eq!((longest.len(), parse(longest).as_deref()), (253, Ok(longest)));
    }

    #[test]
    fn stored_hosts_are_checked() {
        for text in ["keepersecurity.com", "https://keepersecurity.com/", "10.0.0.7:8443", ""] {
            assert_eq!(check_stored(text), Ok(()), "{text:?}");
        }
        for (text, reason) in [
            ("user:s3cret@keepersecurity.com", "a user name or a password"),
            ("büro.example", "it is not ASCII"),
            ("keeper security.com", "white space"),
            ("keepersecurity.com\n", "white space"),
            ("keepersecurity.com\0", "control character"),
        ] {
            let why = check_stored(text).expect_err(text);
            assert!(why.contains(reason) && !why.contains("s3cret"), "{text:?}: {why}");
        }
    }
}
