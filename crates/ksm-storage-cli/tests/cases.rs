//! Command lines and their output, in an empty environment. `TRYCMD=overwrite` updates the expected output.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test has no documentation and may panic")]

use std::{collections::BTreeSet, fs};

#[test]
fn command_lines_print_what_is_recorded() {
    // Git keeps no mode, and the command reads private files alone.
    #[cfg(unix)]
    fs::set_permissions(
        "tests/cases/exit-5-bind.in/ksm.json",
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    trycmd::TestCases::new().case("tests/cases/*.toml");
}

/// The table of `docs/cli.md`, of which each code has a case.
#[test]
fn every_exit_code_has_a_case() {
    let page = include_str!("../../../docs/cli.md");
    let table = page.split("<!-- begin exit codes -->").nth(1).unwrap().split("<!-- end").next().unwrap();
    let documented: BTreeSet<u8> =
        table.lines().filter_map(|row| row.split('|').nth(1)?.trim().parse().ok()).collect();
    let mut tested = BTreeSet::new();
    for entry in fs::read_dir("tests/cases").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let case = fs::read_to_string(path).unwrap();
            let code = case.lines().find_map(|line| line.strip_prefix("status.code = "));
            tested.insert(code.map_or(0, |code| code.parse().unwrap()));
        }
    }
    assert_eq!(tested, documented);
}
