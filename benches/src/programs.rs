//! How large the programs are and what it takes to build them: what `cargo xtask bench` has noted.

use std::fs;

use serde_json::Value;

use crate::{Result, start::PROGRAMS, target};

pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// Crates in it, itself included.
    pub(crate) crates: u64,
    /// Of the stripped program.
    pub(crate) bytes: usize,
    /// Of a clean release build, all processors together; `None` where it was not measured.
    pub(crate) build_seconds: Option<f64>,
}

pub(crate) fn read() -> Result<Vec<Program>> {
    let noted: Value = serde_json::from_str(&fs::read_to_string(target().join("startup/noted.json"))?)?;
    let program = |name: &'static str| {
        Ok(Program {
            name,
            crates: noted[name]["crates"].as_u64().ok_or("the number of crates is not noted")?,
            bytes: fs::metadata(target().join("startup/release").join(name))?.len().try_into()?,
            build_seconds: noted[name]["build_seconds"].as_f64(),
        })
    };
    PROGRAMS.into_iter().map(program).collect()
}
