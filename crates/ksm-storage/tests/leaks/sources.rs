//! The public types and enum variants listed in the sources.

use std::{collections::BTreeSet, fs, path::Path};

/// The public types by their full names. A lint ensures that only public types are declared `pub`.
pub(crate) fn public_types() -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    for name in ["core", "memory", "file", "aws", "keeper", "emulator"] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../ksm-storage-{name}/src"));
        let before = types.len();
        collect(&source, &format!("ksm_storage_{name}"), &mut types);
        assert!(types.len() > before, "no public type of {name} was found");
    }
    types
}

fn collect(folder: &Path, module: &str, types: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let inner = format!("{module}::{stem}");
        if path.is_dir() {
            collect(&path, &inner, types);
            continue;
        }
        let module = if matches!(stem, "lib" | "mod") { module } else { &inner };
        let text = fs::read_to_string(&path).unwrap();
        let declared = text.lines().filter_map(|line| {
            let rest = ["pub struct ", "pub enum ", "pub union "]
                .into_iter()
                .find_map(|start| line.trim_start().strip_prefix(start))?;
            rest.split(|char: char| !char.is_alphanumeric()).next()
        });
        types.extend(declared.map(|name| format!("{module}::{name}")));
    }
}

/// The variants of an enum, as listed in its source.
pub(crate) fn variants(source: &str, name: &str) -> Vec<String> {
    let (_, list) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (list, _) = list.split_once("\n}").unwrap();
    let names = list.lines().map(str::trim).filter(|line| !line.starts_with("///"));
    names.map(|line| line.trim_end_matches(',').to_owned()).collect()
}
