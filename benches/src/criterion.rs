//! What criterion has estimated.

use std::fs;

use serde_json::Value;

use crate::{Result, read as read_file, target};

/// Names of benches and the medians of their times, in nanoseconds.
pub(crate) fn read() -> Result<Vec<(String, f64)>> {
    let mut found = Vec::new();
    let folder = target()?.join("criterion");
    for group in fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let group = group?;
        if !group.file_type()?.is_dir() {
            continue;
        }
        for bench in fs::read_dir(group.path())? {
            let bench = bench?;
            let file = bench.path().join("new/estimates.json");
            // Beside the benches are folders of other things.
            if !file.exists() {
                continue;
            }
            let estimates: Value = serde_json::from_str(&read_file(&file)?)?;
            let median = estimates["median"]["point_estimate"].as_f64().ok_or("criterion wrote no median")?;
            let name = [group.file_name(), bench.file_name()].map(|name| name.display().to_string());
            found.push((name.join("/"), median));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}
