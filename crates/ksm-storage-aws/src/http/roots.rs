//! Root certificates.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};

use crate::{
    environment::Environment,
    setting::{InvalidSetting, Setting},
};

/// The first takes the place of the others.
const VARIABLES: [&str; 3] = ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// The largest bundle that is read, in bytes. That of Mozilla has a quarter of a mebibyte.
const MAX_BUNDLE: u64 = 16 << 20;

type Key = [Option<OsString>; 3];

/// Those that were read last, for as long as the variables stay the same: reading them takes milliseconds.
static LAST: Mutex<Option<(Key, Arc<Vec<u8>>)>> = Mutex::new(None);

/// The root certificates to trust, in PEM: at least one, each of which the SDK can parse.
pub(super) fn load(environment: Environment) -> Result<Arc<Vec<u8>>, InvalidSetting> {
    let key = VARIABLES
        .map(|name| (environment.0)(name).map(|value| trimmed(&value)).filter(|value| !value.is_empty()));
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, roots)) = &*last
        && *known == key
    {
        return Ok(Arc::clone(roots));
    }
    let roots = Arc::new(read(&key)?);
    *last = Some((key, Arc::clone(&roots)));
    Ok(roots)
}

fn read([bundle, file, folders]: &Key) -> Result<Vec<u8>, InvalidSetting> {
    let mut pem = String::new();
    let setting = match (bundle, file, folders) {
        (Some(bundle), _, _) => {
            from_file(VARIABLES[0], bundle, &mut pem)?;
            VARIABLES[0]
        }
        (None, None, None) => {
            add(&of_platform(), &mut pem);
            if pem.is_empty() {
                let problem = "the system has no root certificates: install them (such as the package \
                               ca-certificates), or name a file";
                return Err(InvalidSetting::new(&Setting::Variable(VARIABLES[1]), problem));
            }
            return Ok(pem.into_bytes());
        }
        (None, file, folders) => {
            if let Some(file) = file {
                from_file(VARIABLES[1], file, &mut pem)?;
            }
            for folder in
                folders.iter().flat_map(env::split_paths).filter(|path| !path.as_os_str().is_empty())
            {
                add(&load_certs_from_paths(None, Some(&folder)), &mut pem);
            }
            if file.is_some() { VARIABLES[1] } else { VARIABLES[2] }
        }
    };
    if pem.is_empty() {
        let problem = "there is no root certificate in it that can be used (expected PEM)";
        return Err(InvalidSetting::new(&Setting::Variable(setting), problem));
    }
    Ok(pem.into_bytes())
}

fn from_file(name: &'static str, path: &OsStr, pem: &mut String) -> Result<(), InvalidSetting> {
    let invalid = |problem: String| InvalidSetting::new(&Setting::Variable(name), problem);
    let metadata =
        fs::metadata(path).map_err(|error| invalid(format!("the file cannot be read ({})", error.kind())))?;
    if !metadata.is_file() || metadata.len() > MAX_BUNDLE {
        return Err(invalid(format!("expected a file of at most {MAX_BUNDLE} bytes")));
    }
    add(&load_certs_from_paths(Some(Path::new(path)), None), pem);
    Ok(())
}

fn trimmed(value: &OsStr) -> OsString {
    value.to_str().map_or_else(|| value.to_owned(), |value| value.trim().into())
}

/// Those of the platform. The variables are unset or empty, and mean nothing then.
fn of_platform() -> CertificateResult {
    #[cfg(all(unix, not(target_os = "macos")))]
    if VARIABLES[1..].iter().any(|name| env::var_os(name).is_some()) {
        let places = openssl_probe::probe();
        let mut found =
            places.cert_file.map(|file| load_certs_from_paths(Some(&file), None)).unwrap_or_default();
        if found.certs.is_empty() {
            for folder in places.cert_dir {
                found.certs.extend(load_certs_from_paths(None, Some(&folder)).certs);
            }
        }
        return found;
    }
    load_native_certs()
}

/// Adds what is a certificate. The SDK panics on anything else.
fn add(found: &CertificateResult, pem: &mut String) {
    for certificate in
        found.certs.iter().filter(|certificate| webpki::anchor_from_trusted_cert(certificate).is_ok())
    {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        BASE64_STANDARD.encode_string(certificate, pem);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
}
