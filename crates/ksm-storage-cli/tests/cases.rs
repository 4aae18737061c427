//! Command lines with their output, in an empty environment: `TRYCMD=overwrite` writes the outputs anew.
#![allow(missing_docs)]

#[test]
fn command_lines_print_what_is_recorded() {
    trycmd::TestCases::new().case("tests/cases/*.toml");
}
