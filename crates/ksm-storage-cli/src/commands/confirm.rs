//! Asks for confirmation before a command replaces or removes something.

use std::io::{self, BufRead, IsTerminal};

use crate::{
    failure::{Failure, Result},
    output::Output,
};

/// Asks on the terminal. Without one, only shows the question.
pub(super) fn confirm(output: Output, command: &str, question: &str) -> Result<()> {
    if !io::stdin().is_terminal() {
        output.remark(question);
        return Err(Failure::usage(
            format!("{command} asks for confirmation, but there is no terminal"),
            "confirm with --yes",
        ));
    }
    let asked = io::Write::write_all(&mut io::stderr(), format!("{question} [y/N] ").as_bytes());
    let mut answer = String::new();
    asked
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .map_err(|error| Failure::io("cannot ask", &error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::refused("nothing was changed", "answer y, or confirm with --yes"))
}
