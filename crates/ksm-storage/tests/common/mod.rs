//! Helpers that the tests of this folder share.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The program that an example is built as, if it is built from the sources as they are now.
pub(crate) fn binary(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let binary = folder.join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.exists(),
        "{} is not built: cargo build --workspace --all-features --examples",
        binary.display()
    );
    // Cargo lists there what it is made from.
    let list = fs::read_to_string(folder.join(format!("{example}.d"))).unwrap();
    let (_, sources) = list.trim_end().split_once(": ").unwrap();
    let changed = |path: &Path| -> io::Result<SystemTime> { fs::metadata(path)?.modified() };
    let built = changed(&binary).unwrap();
    for source in sources.replace("\\ ", "\0").split(' ').map(|source| source.replace('\0', " ")) {
        assert!(
            changed(source.as_ref()).is_ok_and(|at| at <= built),
            "{example} is older than {source}: cargo build --workspace --all-features --examples"
        );
    }
    binary
}
