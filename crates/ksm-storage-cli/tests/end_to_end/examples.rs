//! The demo, and the man pages.

use std::fs;

use crate::{
    common::binary,
    support::{Run, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn demo_shows_the_whole_job() {
    let run = Run::new();
    let output = run.program(binary("demo"), &[]).output().await.unwrap();
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    for words in ["bound: ", "state     bound", "record: Database", "record: Message queue"] {
        assert!(shown.contains(words), "`{words}` is not in: {shown}");
    }
    assert!(!shown.contains('\x1b'));
    // The output shown on the page, except for the ports.
    let page = include_str!("../../../../docs/testing.md");
    for line in shown.lines() {
        let shown = match line.split_once("//127.0.0.1:") {
            Some((before, port)) if port.parse::<u16>().is_ok() => format!("{before}//127.0.0.1:"),
            _ => format!("{line}\n"),
        };
        assert!(page.contains(&shown), "docs/testing.md does not show: {line}");
    }
    assert_eq!(fs::read_dir(run.path("")).unwrap().count(), 0, "it wrote a file");
}

#[tokio::test]
async fn every_command_has_a_man_page() {
    let run = Run::new();
    let output = run.program(binary("man"), &["pages"]).output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let help = run.ends(&["--help"], 0).await;
    let (_, commands) = help.split_once("\nCommands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names = commands.lines().filter_map(|line| line.trim_start().split(' ').next());
    let names: Vec<_> = names.filter(|name| *name != "help").collect();
    assert!(names.len() > 10, "{help}");
    for name in names {
        let page = fs::read_to_string(run.path(&format!("pages/ksm-storage-{name}.1"))).unwrap();
        let help = run.ends(&[name, "--help"], 0).await;
        for shown in [page, help] {
            assert!(
                shown.contains("Example") && shown.replace(r"\-", "-").contains("  ksm-storage "),
                "{name}: {shown}"
            );
        }
    }
}
