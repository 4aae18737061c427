//! Root certificates for TLS connections to AWS and Keeper, read once per process.
//!
//! Reading and parsing about 150 certificates takes milliseconds, a large part of a program's start. [`Roots::load`]
//! therefore caches the result until one of the variables that name files and folders changes:
//!
//! ```
//! use ksm_storage_tls::Roots;
//!
//! # fn main() -> Result<(), ksm_storage_tls::InvalidRoots> {
//! # if Roots::load(|name| std::env::var_os(name), None).is_err() { return Ok(()) }
//! let roots = Roots::load(|name| std::env::var_os(name), None)?;
//! assert!(!roots.anchors().is_empty());
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod pem;

use std::{
    collections::BTreeMap,
    env, error,
    ffi::{OsStr, OsString},
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, TryLockError},
};

use rustls_pki_types::{CertificateDer, TrustAnchor};

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";
/// The largest bundle that is read, in bytes. Mozilla's takes a quarter of a mebibyte.
const MAX_BUNDLE: u64 = 16 << 20;

#[cfg(unix)]
const NO_WAITING: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// The variables that name certificates: the caller's bundle, a file, folders.
type Key = [Option<OsString>; 3];

type Loaded = Option<(Key, Arc<Roots>)>;

/// The most recently read certificates, without and with a caller's bundle.
static LAST: Mutex<[Loaded; 2]> = Mutex::new([None, None]);

/// Trusted root certificates: at least one.
pub struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
}

/// A variable that names no usable root certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidRoots {
    /// The variable, which may be unset.
    pub variable: &'static str,
    /// The problem and, unless the variable makes it obvious, the remedy.
    pub problem: String,
}

impl Roots {
    /// Loads the certificates of the variable `bundle` if it is given and set; otherwise those of `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`; if neither is set, those of the system. An empty variable counts as unset.
    ///
    /// # Errors
    /// An error if there is no usable certificate.
    pub fn load(
        environment: impl Fn(&str) -> Option<OsString>,
        bundle: Option<&'static str>,
    ) -> Result<Arc<Self>, InvalidRoots> {
        let given = |name| environment(name).map(|value| trimmed(&value)).filter(|value| !value.is_empty());
        let key = match bundle.and_then(given) {
            Some(file) => [Some(file), None, None],
            None => [None, given(FILE), given(FOLDERS)],
        };
        let fresh = || {
            let mut anchors = read(&key, bundle.unwrap_or(FILE))?;
            anchors.shrink_to_fit();
            Ok(Arc::new(Self { anchors }))
        };
        let mut last = match LAST.try_lock() {
            Ok(last) => last,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // After a fork, a thread of the parent may appear to hold the lock forever, so the child does not wait for
            // it.
            Err(TryLockError::WouldBlock) => return fresh(),
        };
        let last = &mut last[usize::from(key[0].is_some())];
        if let Some((known, roots)) = last
            && *known == key
        {
            return Ok(Arc::clone(roots));
        }
        let roots = fresh()?;
        *last = Some((key, Arc::clone(&roots)));
        Ok(roots)
    }

    /// The certificates in the form that rustls expects.
    pub fn anchors(&self) -> Vec<TrustAnchor<'static>> {
        self.anchors.clone()
    }
}

fn read(
    [bundle, file, folders]: &Key,
    bundle_name: &'static str,
) -> Result<Vec<TrustAnchor<'static>>, InvalidRoots> {
    let (anchors, variable) = match (bundle, file, folders) {
        (Some(bundle), ..) => (from_file(bundle_name, bundle)?, bundle_name),
        (None, None, None) => {
            let anchors = usable(&of_platform());
            if anchors.is_empty() {
                let problem = "the system has no root certificates: install them (such as the package \
                               ca-certificates), or name a file";
                return Err(InvalidRoots::new(FILE, problem));
            }
            (anchors, FILE)
        }
        (None, file, folders) => {
            let mut anchors = match file {
                Some(file) => from_file(FILE, file)?,
                None => Vec::new(),
            };
            let folders =
                folders.iter().flat_map(env::split_paths).filter(|path| !path.as_os_str().is_empty());
            anchors.extend(usable(&from_places(None, &folders.collect::<Vec<_>>())));
            (anchors, if file.is_some() { FILE } else { FOLDERS })
        }
    };
    if anchors.is_empty() {
        let problem = "there is no root certificate in it that can be used (expected PEM)";
        return Err(InvalidRoots::new(variable, problem));
    }
    Ok(anchors)
}

fn from_file(variable: &'static str, path: &OsStr) -> Result<Vec<TrustAnchor<'static>>, InvalidRoots> {
    let unread =
        |error: io::Error| InvalidRoots::new(variable, format!("the file cannot be read ({})", error.kind()));
    match content(Path::new(path)).map_err(unread)? {
        Some(text) => Ok(usable(&pem::certificates(&text))),
        None => Err(InvalidRoots::new(variable, format!("expected a file of at most {MAX_BUNDLE} bytes"))),
    }
}

/// The certificates of all files in these places, each once. Anything that cannot be read is skipped.
fn from_places(file: Option<PathBuf>, folders: &[PathBuf]) -> Vec<CertificateDer<'static>> {
    let entries = folders.iter().flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path());
    // Usually, a bundle is in the folder too, and links name each file again.
    let files: BTreeMap<_, _> = file.into_iter().chain(entries).map(|path| (identity(&path), path)).collect();
    let texts = files.values().filter_map(|path| content(path).ok().flatten());
    let mut certificates: Vec<_> = texts.flat_map(|text| pem::certificates(&text)).collect();
    certificates.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    certificates.dedup();
    certificates
}

/// Equal for links to one file. `None` if there is no such file.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;

    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> PathBuf {
    path.to_owned()
}

/// The content of a regular file that is not too long. Files of `/proc` may wait for data, or have no end.
fn content(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let is_bundle = |metadata: fs::Metadata| metadata.is_file() && metadata.len() <= MAX_BUNDLE;
    if !is_bundle(fs::metadata(path)?) {
        return Ok(None);
    }
    let mut options = fs::File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, NO_WAITING);
    let mut text = Vec::new();
    options.read(true).open(path)?.take(MAX_BUNDLE + 1).read_to_end(&mut text)?;
    Ok(Some(text).filter(|text| text.len() as u64 <= MAX_BUNDLE))
}

fn trimmed(value: &OsStr) -> OsString {
    value.to_str().map_or_else(|| value.to_owned(), |value| value.trim().into())
}

/// The system's certificates. The variables are unset or empty.
fn of_platform() -> Vec<CertificateDer<'static>> {
    #[cfg(all(unix, not(target_os = "macos")))]
    {
        let places = openssl_probe::probe();
        from_places(places.cert_file, &places.cert_dir)
    }
    #[cfg(not(all(unix, not(target_os = "macos"))))]
    rustls_native_certs::load_native_certs().certs
}

/// Skips anything that is not a certificate.
fn usable(certificates: &[CertificateDer<'_>]) -> Vec<TrustAnchor<'static>> {
    let anchors = certificates.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok());
    anchors.map(|anchor| anchor.to_owned()).collect()
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("count", &self.anchors.len()).finish_non_exhaustive()
    }
}

impl InvalidRoots {
    fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self { variable, problem: problem.into() }
    }
}

impl fmt::Display for InvalidRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {}: {}", self.variable, self.problem)
    }
}

impl error::Error for InvalidRoots {}

#[cfg(test)]
mod tests {
    #[cfg(all(unix, not(target_os = "macos")))]
    use rustls_native_certs::load_certs_from_paths;

    use super::*;

    /// A folder may contain links to anything.
    #[cfg(target_os = "linux")]
    #[test]
    fn special_files_are_skipped() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let certificate = rcgen::generate_simple_self_signed(["ours".to_owned()]).unwrap().cert;
        fs::write(path("ours.pem"), certificate.pem()).unwrap();
        symlink("ours.pem", path("01234567.0")).unwrap();
        for (name, target) in ["zero", "endless", "memory", "log", "missing"].into_iter().zip([
            "/dev/zero",
            "/proc/self/pagemap",
            "/proc/self/mem",
            "/proc/kmsg",
            "/no/such",
        ]) {
            symlink(target, path(name)).unwrap();
        }
        fs::File::create(path("huge")).unwrap().set_len(1 << 40).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        assert_eq!(from_places(Some(path("ours.pem")), &[folder.path().to_owned()]).len(), 1);
        for name in ["zero", "endless", "memory", "log", "missing", "huge", "pipe"] {
            let found = from_file(FILE, path(name).as_os_str());
            assert!(found.is_err() || found.unwrap().is_empty(), "{name}");
        }
    }

    /// Those that the AWS SDK would trust.
    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn system_certificates_are_complete() {
        let places = openssl_probe::probe();
        let expected = |folders: &[PathBuf]| {
            let found =
                folders.iter().map(|folder| load_certs_from_paths(places.cert_file.as_deref(), Some(folder)));
            let mut found: Vec<_> = found.flat_map(|found| found.certs).collect();
            found.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
            found.dedup();
            found
        };
        assert_eq!(from_places(places.cert_file.clone(), &places.cert_dir), expected(&places.cert_dir));
    }

    #[test]
    fn unchanged_variables_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            let certificate = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert;
            fs::write(&path, format!("no certificate\n{}", certificate.pem())).unwrap();
            path
        };
        let (ours, theirs) = (file("ours"), file("theirs"));
        let load = |bundle: Option<&'static str>, file: &Path, theirs: &Path| {
            let environment = |name: &str| match name {
                "BUNDLE" => Some(theirs.into()),
                "SSL_CERT_FILE" => Some(file.into()),
                _ => None,
            };
            Roots::load(environment, bundle)
        };
        let first = load(None, &ours, &theirs).unwrap();
        let bundle = load(Some("BUNDLE"), &ours, &theirs).unwrap();
        assert!(bundle.anchors() != first.anchors() && first.anchors().len() == 1);
        // Neither bundle replaces the other, and an empty one counts as unset.
        fs::remove_file(&ours).unwrap();
        fs::remove_file(&theirs).unwrap();
        for (again, roots) in [
            (load(None, &ours, &theirs), &first),
            (load(Some("BUNDLE"), &ours, &theirs), &bundle),
            (load(Some("BUNDLE"), &ours, Path::new(" ")), &first),
        ] {
            assert!(Arc::ptr_eq(&again.unwrap(), roots));
        }
        // A lock left behind by a fork is not waited for.
        let held = LAST.lock();
        let missing = load(None, &folder.path().join("none"), &theirs).unwrap_err();
        drop(held);
        assert_eq!(missing.to_string(), "invalid SSL_CERT_FILE: the file cannot be read (entity not found)");
    }
}
