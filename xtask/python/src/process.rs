use std::{
    fs::File,
    io::{Read, Seek},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// The time limit of a program.
const LIMIT: Duration = Duration::from_mins(5);

/// A process that is killed on drop.
pub struct Process(pub(crate) Child);

impl Process {
    /// Starts the command. Its output must fit in a pipe buffer.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        child.map(Self).map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))
    }

    /// Waits until the process exits, and returns its output.
    ///
    /// # Errors
    /// If it takes longer than five minutes, or with its error output if it fails.
    pub fn wait(mut self) -> Result<String, String> {
        let start = Instant::now();
        let status = loop {
            match self.0.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status,
                None if start.elapsed() > LIMIT => return Err(format!("not finished after {LIMIT:?}")),
                None => sleep(Duration::from_millis(20)),
            }
        };
        if status.success() {
            return Ok(text(self.0.stdout.take()));
        }
        Err(format!("{status}: {}", text(self.0.stderr.take())))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    // Output that precedes an error is still useful.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The last lines of a program's output in a file.
pub(crate) fn tail(mut output: File) -> String {
    const LINES: usize = 10;
    let mut bytes = Vec::new();
    // An unreadable file counts as empty.
    let _ = output.rewind().and_then(|()| output.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
