//! Command lines and their output, in an empty environment. `TRYCMD=overwrite` updates the expected output.
#![allow(missing_docs)]

#[test]
fn command_lines_print_what_is_recorded() {
    trycmd::TestCases::new().case("tests/cases/*.toml");
}
