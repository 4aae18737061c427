//! Puts every backend of this workspace through the conformance suite: `cargo xtask conformance --help`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "telling is what it does")]

mod backends;
mod histories;
mod matrix;
mod outside;
mod peers;
mod python;
mod report;
mod sections;

use std::{
    io::{IsTerminal, stdout},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use ksm_storage_testkit::{
    AsyncCore, BlockingCore, Case, Clause, Core, Delayed, Fixture, Level, Subject, broken::Fault, cases,
};
use report::{Row, Table, Verdict};

/// Put backends through the conformance suite, case by case.
#[derive(Parser)]
#[command(name = "cargo xtask conformance", bin_name = "cargo xtask conformance")]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a command line")]
struct Cli {
    /// The backend to test; may be given several times [default: all of them, or with --broken the first]
    #[arg(long, value_name = "NAME", value_parser = backends::ALL.map(|(name, _)| name))]
    backend: Vec<String>,
    /// Test the AWS backend beside other programs and processes, too; done without --backend
    #[arg(long, conflicts_with = "broken")]
    peers: bool,
    /// Test the tests: run them against backends and cores that are wrong on purpose
    #[arg(long)]
    broken: bool,
    /// List the clauses with their cases, and fail if one has none
    #[arg(long, conflicts_with = "broken")]
    clauses: bool,
    /// Fail if a backend cannot be had here, such as an emulator without python3
    #[arg(long)]
    require_all: bool,
    /// Run about this many random programs, shared out among the backends that are quick enough, with and without
    /// faults and a foreign writer, and judge what they return; `cargo xtask conformance --release` makes it faster
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["peers", "broken", "clauses"])]
    histories: Option<u32>,
    /// Write what came out into README.md, docs/conformance.md and docs/conformance.json
    #[arg(long, conflicts_with_all = ["clauses", "check_report", "peers"])]
    report: bool,
    /// Fail if what stands there is stale
    #[arg(long, conflicts_with_all = ["clauses", "histories", "peers"])]
    check_report: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// What a process does that the peers are checked with
    #[arg(long, hide = true, num_args = 1..)]
    child: Vec<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if !cli.child.is_empty() {
        let Err(error) = peers::child(&cli.child) else { return ExitCode::SUCCESS };
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    if (cli.report || cli.check_report) && !cli.backend.is_empty() {
        eprintln!("error: a report is about all backends");
        return ExitCode::from(2);
    }
    if let Some(total) = cli.histories {
        return run_histories(&cli, total);
    }
    let with_peers = cli.peers || (cli.backend.is_empty() && !cli.broken);
    let report = match (cli.report, cli.check_report) {
        (true, _) => Some(sections::Mode::Write),
        (_, true) => Some(sections::Mode::Check),
        _ => None,
    };
    let names = match (cli.backend.is_empty(), cli.broken) {
        (true, false) if cli.peers => Vec::new(),
        (true, false) => backends::ALL.map(|(name, _)| name.to_owned()).to_vec(),
        // What is wrong is wrapped around a backend; one will do.
        (true, true) => vec![backends::ALL[0].0.to_owned()],
        (false, _) => cli.backend,
    };
    let table = if cli.clauses {
        clauses()
    } else {
        let mut table = Table::new(if cli.broken { "caught" } else { "passed" });
        for &(name, make) in backends::ALL.iter().filter(|(known, _)| names.iter().any(|name| name == known))
        {
            match make() {
                Ok(fixture) if cli.broken => broken(&mut table, fixture),
                Ok(fixture) => good(&mut table, name, &fixture),
                Err(why) => not_run(&mut table, name, &why),
            }
        }
        if with_peers {
            peers(&mut table);
        }
        table
    };
    if cli.json {
        println!("{}", table.json());
    } else {
        table.print(stdout().is_terminal());
    }
    if let Some(mode) = report
        && let Err(error) = self::report(mode, &table, cli.broken)
    {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    if table.passed(cli.require_all) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_histories(cli: &Cli, total: u32) -> ExitCode {
    let rows = match histories::run(&cli.backend, total) {
        Ok(rows) => rows,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    if cli.json {
        println!("{:#}", histories::json(&rows));
    } else {
        histories::print(&rows);
    }
    if cli.report
        && let Err(error) = report_histories(&rows)
    {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    if rows.iter().all(histories::Row::passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const DOCUMENT: &str = "docs/conformance.md";

/// The parts of the documents that the table makes, if it is whole.
fn report(mode: sections::Mode, table: &Table, broken: bool) -> Result<(), String> {
    if let Some((backend, why)) = table.missing() {
        return Err(format!("there is nothing to report, since {backend} is NOT RUN: {why}"));
    }
    if broken {
        sections::put_json(mode, "broken", matrix::broken_json(&table.rows))?;
        return sections::put(mode, DOCUMENT, "broken", &matrix::broken(&table.rows));
    }
    sections::put_json(mode, "matrix", matrix::json(&table.rows))?;
    sections::put(mode, DOCUMENT, "matrix", &matrix::matrix(&table.rows))?;
    // One of each kind: what they say does not depend on the way to the service.
    let kinds = backends::ALL.iter().filter(|(name, _)| histories::BACKENDS.contains(name));
    let kinds = kinds.map(|(name, make)| Ok((name.replace("-emulator", ""), make()?)));
    let kinds = kinds.collect::<Result<Vec<_>, String>>()?;
    sections::put(mode, "README.md", "capabilities", &matrix::capabilities(&kinds)?)
}

/// Figures of another run differ: they are written, and not compared.
fn report_histories(rows: &[histories::Row]) -> Result<(), String> {
    sections::put_json(sections::Mode::Write, "histories", histories::json(rows))?;
    sections::put(sections::Mode::Write, DOCUMENT, "histories", &histories::markdown(rows))
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
            backend: String::new(),
            subject: "the contract".to_owned(),
            clause,
            case: clause.title().to_owned(),
            verdict: if backend + core == 0 {
                Verdict::Failed("it has no case".to_owned())
            } else if proven {
                Verdict::Good
            } else {
                Verdict::Failed(
                    "cases without a wrong subject that they catch, or the other way round".to_owned(),
                )
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

const PEERS: &str = "aws, beside other programs";

/// The AWS backend beside others.
fn peers(table: &mut Table) {
    if let Err(why) = python::install() {
        return not_run(table, PEERS, &why);
    }
    for (clause, case, check) in peers::ALL {
        eprint!(".");
        let verdict = Verdict::of(check());
        let (subject, case) = (PEERS.to_owned(), case.to_owned());
        table.push(Row { backend: PEERS.to_owned(), subject, clause, case, verdict, note: String::new() });
    }
    eprintln!();
}

/// A backend that cannot be had here: said at once, and once for each clause in the table.
fn not_run(table: &mut Table, name: &str, why: &str) {
    eprintln!("WARNING: {name} is NOT RUN: {why}");
    for &clause in Clause::ALL {
        let verdict = Verdict::NotRun(why.to_owned());
        let case = clause.title().to_owned();
        let (backend, subject) = (name.to_owned(), name.to_owned());
        table.push(Row { backend, subject, clause, case, verdict, note: String::new() });
    }
}

fn good(table: &mut Table, backend: &str, fixture: &Arc<dyn Fixture>) {
    let delayed: Arc<dyn Fixture> = Arc::new(Delayed::new(Arc::clone(fixture)));
    let on = |fixture: &Arc<dyn Fixture>, core: Arc<dyn Core>| Subject { fixture: Arc::clone(fixture), core };
    let subjects = [
        ("async", on(fixture, Arc::new(AsyncCore))),
        ("blocking", on(fixture, Arc::new(BlockingCore))),
        ("async", on(&delayed, Arc::new(AsyncCore))),
    ];
    for (core_name, subject) in subjects {
        let fixture = &subject.fixture;
        for case in cases() {
            // What concerns the backend alone is the same below every core.
            if case.level() == Level::Backend && core_name == "blocking" {
                continue;
            }
            let name = match case.level() {
                Level::Core => format!("{}, {core_name} core", fixture.name()),
                _ => fixture.name(),
            };
            eprint!(".");
            table.push(Row {
                backend: backend.to_owned(),
                subject: name,
                clause: case.clause(),
                case: case.name().to_owned(),
                verdict: match backends::excluded(backend, case.name()) {
                    Some(why) => Verdict::Excluded(why),
                    None => Verdict::of(case.check(subject.clone())),
                },
                note: String::new(),
            });
        }
    }
    eprintln!();
}

/// Every wrong subject, with the cases of its clause that catch it, and the number of others that do; and those whose
/// fault shows in what concurrent calls return once more, with random programs.
fn broken(table: &mut Table, fixture: Arc<dyn Fixture>) {
    let subject = Subject { fixture, core: Arc::new(AsyncCore) };
    let name = subject.fixture.name();
    // The failures that are wanted are no news.
    std::panic::set_hook(Box::new(|_| ()));
    for fault in Fault::all() {
        eprint!(".");
        let row = |by: &str, subject, found: Result<(), &str>, note| Row {
            backend: by.to_owned(),
            subject,
            clause: fault.clause(),
            case: fault.to_string(),
            verdict: Verdict::of(found),
            note,
        };
        let caught = fault.caught_by(&subject);
        let (own, others): (Vec<&Case>, Vec<&Case>) =
            caught.iter().map(|(case, _)| case).partition(|case| case.clause() == fault.clause());
        let own: Vec<_> = own.iter().map(|case| case.name()).collect();
        let note = format!("{} (and {} of other clauses)", own.join(", "), others.len());
        let found = if own.is_empty() { Err("no case of its clause catches it") } else { Ok(()) };
        table.push(row(matrix::BY_CASES, name.clone(), found, note));
        if let Some(mode) = fault.found_by() {
            let found = histories::find(&fault.plant(&subject), mode);
            let subject = format!("{name}, random programs");
            table.push(row(&mode.to_string(), subject, found, format!("against: {mode}")));
        }
    }
    let _ = std::panic::take_hook();
    eprintln!();
}
