//! Calls per second over time, as SVG.

use std::fmt::Write;

use crate::{
    simulation::{Fleet, Report, Retries},
    table::percent,
};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 150.0;
const SECONDS: usize = 16;

/// One chart per report, with the calls and successful starts in each second.
pub(crate) fn svg(reports: &[(&Fleet, &Report)]) -> String {
    let height = reports.len() as f64 * (HEIGHT + 50.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"12\">\n",
        WIDTH + 80.0,
        height
    );
    for (index, (fleet, report)) in reports.iter().enumerate() {
        chart(&mut svg, index as f64 * (HEIGHT + 50.0), &title(fleet), report);
    }
    svg + "</svg>\n"
}

fn title(fleet: &Fleet) -> String {
    let token = if fleet.unbound { " with one token" } else { "" };
    let retries = match fleet.retries {
        Retries::Own => String::new(),
        Retries::Sdk(first) => format!(", retries of the SDK from {first} ms"),
    };
    format!("{} starts{token}, {} Gets per second{retries}", fleet.starts, fleet.gets)
}

fn chart(svg: &mut String, top: f64, title: &str, report: &Report) {
    let highest = report.seconds.iter().map(|second| second[0]).max().unwrap_or(1).max(1);
    let base = top + 25.0 + HEIGHT;
    let (step, bar) = (WIDTH / SECONDS as f64, WIDTH / SECONDS as f64 / 2.5);
    let mut put = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(svg, "{line}");
    };
    put(format!(
        "<text x=\"70\" y=\"{}\">{title}: {} opened, {:.2} Gets per start</text>",
        top + 16.0,
        percent(report.opened()),
        report.gets_per_start()
    ));
    put(format!("<text x=\"64\" y=\"{}\" text-anchor=\"end\">{highest}</text>", top + 35.0));
    put(format!("<path d=\"M70 {} V{base} H{}\" fill=\"none\" stroke=\"#888\"/>", top + 25.0, 70.0 + WIDTH));
    for second in 0..SECONDS {
        let values = report.seconds.get(second).copied().unwrap_or_default();
        let x = 72.0 + second as f64 * step;
        for (value, color, offset) in [(values[0], "#c44", 0.0), (values[1], "#48a", bar)] {
            let size = HEIGHT * f64::from(value) / f64::from(highest);
            put(format!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{bar:.1}\" height=\"{size:.1}\" fill=\"{color}\"/>",
                x + offset,
                base - size
            ));
        }
        put(format!("<text x=\"{x:.1}\" y=\"{}\">{second}</text>", base + 14.0));
    }
}
