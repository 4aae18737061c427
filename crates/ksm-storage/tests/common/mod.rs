//! Helpers shared by the tests in this folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The path of an example's program, if it is up to date with its sources.
pub(crate) fn binary(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let binary = folder.join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.exists(),
        "{} is not built: cargo build --workspace --all-features --examples",
        binary.display()
    );
    // Cargo lists the sources of the program there.
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
