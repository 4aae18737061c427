//! `deploy/`: its checks, as far as they are possible without an account, and the Lambda layer.

use std::{path::Path, process::Command};

use anyhow::{Error, Result};

use crate::{
    run::{command, output, root, run, say},
    tools::installation,
};

const REQUIREMENTS: &str = include_str!("../../deploy/requirements.txt");

/// Returns the check that was left out, if any: Terraform is not in a registry.
pub(crate) fn check() -> Result<Option<String>> {
    let python = installation(|| python_peers::environment("deploy-python", REQUIREMENTS));
    run(Command::new(python.map_err(Error::msg)?).current_dir(root()).arg("deploy/check.py"))?;
    if Command::new("terraform").arg("version").output().is_err() {
        return Ok(Some("terraform fmt did not run: terraform is not installed".to_owned()));
    }
    run(&mut command("terraform fmt -check -diff deploy/terraform"))?;
    Ok(None)
}

const ZIG: &str = "cargo-zigbuild==0.24.1\nziglang==0.16.0\n";
const BUILD: &str =
    "zigbuild --locked --package ksm-storage-cli --release --config profile.release.strip=true --target";

/// Builds the layer for each architecture that Rust can compile for here, linked to glibc 2.26.
pub(crate) fn layer() -> Result<()> {
    let python = installation(|| python_peers::environment("zig-python", ZIG)).map_err(Error::msg)?;
    let sysroot = output(&mut command("rustc --print sysroot"))?;
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        if !Path::new(sysroot.trim()).join("lib/rustlib").join(target).exists() {
            say(&format!("not built: rustup target add {target}"));
            continue;
        }
        let mut build = Command::new(python.with_file_name("cargo-zigbuild"));
        build.current_dir(root()).args(BUILD.split(' ')).arg(format!("{target}.2.26"));
        run(build.env("CARGO_ZIGBUILD_PYTHON_PATH", &python))?;
        let mut package = Command::new(&python);
        package.current_dir(root()).arg("deploy/lambda-layer/package.py");
        run(package
            .args([format!("target/{target}/release/ksm-storage"), format!("target/layer/{target}.zip")]))?;
    }
    Ok(())
}
