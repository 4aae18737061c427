//! How large the programs are and what it takes to build them: what `cargo xtask bench` has noted.

use serde_json::Value;

use crate::{Result, read as read_file, target};

pub(crate) struct Program {
    /// As Markdown.
    pub(crate) name: String,
    /// Crates in it, itself included.
    pub(crate) crates: u64,
    /// Of the stripped program.
    pub(crate) megabytes: f64,
    /// Of a clean release build, all processors together; `None` where it was not measured.
    pub(crate) build_seconds: Option<f64>,
}

pub(crate) fn read() -> Result<Vec<Program>> {
    let noted: Value = serde_json::from_str(&read_file(&target()?.join("startup/noted.json"))?)?;
    let program = |noted: &Value| {
        Ok(Program {
            name: noted["name"].as_str().ok_or("a program has no name")?.to_owned(),
            crates: noted["crates"].as_u64().ok_or("the number of crates is not noted")?,
            megabytes: noted["bytes"].as_f64().ok_or("the size is not noted")? / 1e6,
            build_seconds: noted["build_seconds"].as_f64(),
        })
    };
    noted.as_array().ok_or("no list is noted")?.iter().map(program).collect()
}
