//! Puts every backend of this workspace through the conformance suite: `cargo xtask conformance --help`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "telling is what it does")]

mod backends;
mod report;

use std::{
    io::{IsTerminal, stdout},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use ksm_storage_testkit::{
    AsyncCore, BlockingCore, Case, Clause, Core, Fixture, Level, Subject, broken::Fault, cases,
};
use report::{Row, Table};

/// Put backends through the conformance suite, case by case.
#[derive(Parser)]
#[command(name = "cargo xtask conformance", bin_name = "cargo xtask conformance")]
struct Cli {
    /// The backend to test; may be given several times [default: all of them, or with --broken the first]
    #[arg(long, value_name = "NAME", value_parser = backends::ALL.map(|(name, _)| name))]
    backend: Vec<String>,
    /// Test the tests: run them against backends and cores that are wrong on purpose
    #[arg(long)]
    broken: bool,
    /// List the clauses with their cases, and fail if one has none
    #[arg(long, conflicts_with = "broken")]
    clauses: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let names = match (cli.backend.is_empty(), cli.broken) {
        (true, false) => backends::ALL.map(|(name, _)| name.to_owned()).to_vec(),
        // What is wrong is wrapped around a backend; one will do.
        (true, true) => vec![backends::ALL[0].0.to_owned()],
        (false, _) => cli.backend,
    };
    let table = if cli.clauses {
        clauses()
    } else {
        let mut table = Table::new(if cli.broken { "caught" } else { "passed" });
        for (_, make) in
            names.iter().filter_map(|name| backends::ALL.into_iter().find(|(known, _)| known == name))
        {
            let fixture = make();
            if cli.broken { broken(&mut table, fixture) } else { good(&mut table, &fixture) }
        }
        table
    };
    if cli.json {
        println!("{}", table.json());
    } else {
        table.print(stdout().is_terminal());
    }
    if table.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every clause with the number of its cases, and with what proves that they can fail.
fn clauses() -> Table {
    let mut table = Table::new("proven");
    for &clause in Clause::ALL {
        let count =
            |level| cases().iter().filter(|case| case.clause() == clause && case.level() == level).count();
        let (backend, core) = (count(Level::Backend), count(Level::Core));
        let faults = Fault::all();
        let breaks = |fault: &&Fault| fault.clause() == clause;
        let (backends, cores): (Vec<&Fault>, Vec<&Fault>) =
            faults.iter().filter(breaks).partition(|fault| matches!(fault, Fault::Backend(_)));
        // Each level that has cases must have something that they catch, and the other way round.
        let proven = (backend == 0) == backends.is_empty() && (core == 0) == cores.is_empty();
        table.push(Row {
            subject: "the contract".to_owned(),
            clause,
            case: clause.title().to_owned(),
            failure: if backend + core == 0 {
                Some("it has no case".to_owned())
            } else if proven {
                None
            } else {
                Some("cases without a wrong subject that they catch, or the other way round".to_owned())
            },
            note: format!(
                "{backend} cases of backends, {core} of core; {} wrong backends, {} wrong cores",
                backends.len(),
                cores.len()
            ),
        });
    }
    table
}

fn good(table: &mut Table, fixture: &Arc<dyn Fixture>) {
    let cores: [(&str, Arc<dyn Core>); 2] =
        [("async", Arc::new(AsyncCore)), ("blocking", Arc::new(BlockingCore))];
    for (core_name, core) in cores {
        let subject = Subject { fixture: Arc::clone(fixture), core };
        for case in cases() {
            // What concerns the backend alone is the same below every core.
            if case.level() == Level::Backend && core_name != "async" {
                continue;
            }
            let name = match case.level() {
                Level::Core => format!("{}, {core_name} core", fixture.name()),
                _ => fixture.name(),
            };
            eprint!(".");
            table.push(Row {
                subject: name,
                clause: case.clause(),
                case: case.name().to_owned(),
                failure: case.check(subject.clone()).err().map(|failure| failure.to_string()),
                note: String::new(),
            });
        }
    }
    eprintln!();
}

/// Every wrong subject, with the cases of its clause that catch it, and the number of others that do.
fn broken(table: &mut Table, fixture: Arc<dyn Fixture>) {
    let subject = Subject { fixture, core: Arc::new(AsyncCore) };
    // The failures that are wanted are no news.
    std::panic::set_hook(Box::new(|_| ()));
    for fault in Fault::all() {
        eprint!(".");
        let caught = fault.caught_by(&subject);
        let (own, others): (Vec<&Case>, Vec<&Case>) =
            caught.iter().map(|(case, _)| case).partition(|case| case.clause() == fault.clause());
        let own: Vec<_> = own.iter().map(|case| case.name()).collect();
        table.push(Row {
            subject: subject.fixture.name(),
            clause: fault.clause(),
            case: fault.to_string(),
            failure: own.is_empty().then(|| "no case of its clause catches it".to_owned()),
            note: format!("{} (and {} of other clauses)", own.join(", "), others.len()),
        });
    }
    let _ = std::panic::take_hook();
    eprintln!();
}
