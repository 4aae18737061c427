//! AWS's own clients, boto3 and the AWS CLI, which call every operation of Secrets Manager, and the constraints in
//! botocore's model, which the emulator must enforce.
//!
//! The clients are installed below `target/` with `python3`. Without it, the tests are reported as ignored, or as
//! failed if `KSM_CONFORMANCE_REQUIRE_ALL=1` is set.
#![allow(missing_docs)]

use std::{env, process::ExitCode};

use ksm_storage_emulator::{Action, Emulator, Server};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    let tests = [
        ("boto3_calls_all_operations", ["operations.py", "boto3"]),
        ("cli_calls_all_operations", ["operations.py", "cli"]),
        ("constraints_of_the_model_hold", ["model.py", ""]),
    ];
    let trials = tests.map(|(name, script)| Trial::ignorable_test(name, move || run(script)));
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn run([script, client]: [&str; 2]) -> Result<Completion, Failed> {
    if let Err(missing) = python_peers::install() {
        if env::var_os("KSM_CONFORMANCE_REQUIRE_ALL").is_some() {
            return Err(missing.into());
        }
        return Ok(Completion::ignored_with(format!("NOT RUN: {missing}")));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let emulator = Emulator::new("us-east-1");
    let replica = emulator.add_region("eu-west-3");
    let server = runtime.block_on(Server::start(emulator.clone()))?;
    python_peers::run(script, &server.url(), &[client])?;

    let other_services = [
        Action::AssumeRole,
        Action::AssumeRoleWithWebIdentity,
        Action::GetCallerIdentity,
        Action::GetRoleCredentials,
    ];
    let calls = |action| emulator.calls(action) + replica.calls(action);
    let never_called =
        Action::ALL.into_iter().find(|action| !other_services.contains(action) && calls(*action) == 0);
    match never_called {
        Some(action) => Err(format!("{action} was not called").into()),
        None => Ok(Completion::Completed),
    }
}
