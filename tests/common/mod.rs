//! What the tests of this folder share.

use std::path::{Path, PathBuf};

/// The program that an example is built as.
pub(crate) fn binary(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let binary = folder.join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.exists(),
        "{} is not built: cargo build --workspace --all-features --examples",
        binary.display()
    );
    // `cargo xtask test` looks there for examples that nobody has run.
    let ran = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    std::fs::create_dir_all(&ran).unwrap();
    std::fs::write(ran.join(example), "").unwrap();
    binary
}
