//! The picture in the report: starts beside each other, and how long writes take.

use std::{ops::Range, path::Path};

use plotters::{coord::Shift, prelude::*};

use crate::{
    Result,
    queue::{Queue, WRITERS},
    samples::{Samples, Table},
    start::{BARE_DEFAULT, Starts},
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) fn draw(file: &Path, starts: &Starts, queue: &Queue) -> Result<()> {
    let all = SVGBackend::new(file, (900, 900)).into_drawing_area();
    all.fill(&WHITE)?;
    let panels = all.split_evenly((3, 1));
    bars(&panels[0], "start over HTTP, by the bare SDK with its default features", &starts.http)?;
    bars(&panels[1], "start over HTTPS, by the bare SDK with its default features", &starts.https)?;
    distributions(&panels[2], queue)?;
    all.present()?;
    Ok(())
}

/// Medians of ratios, one bar each, on a logarithmic axis.
fn bars(area: &Area<'_>, title: &str, table: &Table) -> Result<()> {
    let unit = table.get(BARE_DEFAULT).ok_or("there is nothing to compare with")?;
    let bars: Vec<_> = table.iter().map(|(name, samples)| (name, samples.by(unit).median())).collect();
    let places = 0..bars.len();
    let least = bars.iter().map(|(_, ratio)| *ratio).fold(1.0, f64::min) / 2.0;
    let most = bars.iter().map(|(_, ratio)| *ratio).fold(1.0, f64::max) * 2.0;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(25)
        .y_label_area_size(110)
        .build_cartesian_2d((least..most).log_scale(), places.clone().into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_label_formatter(&|ratio| format!("{ratio}"))
        .y_labels(bars.len())
        .y_label_formatter(&|place| match place {
            SegmentValue::CenterOf(place) => bars.get(*place).map_or("", |bar| bar.0).to_owned(),
            _ => String::new(),
        })
        .draw()?;
    chart.draw_series(bars.iter().zip(places).map(|((_, ratio), place)| {
        let corners = [(least, SegmentValue::Exact(place)), (*ratio, SegmentValue::Exact(place + 1))];
        let mut bar = Rectangle::new(corners, BLUE.mix(0.6).filled());
        bar.set_margin(4, 4, 0, 0);
        bar
    }))?;
    Ok(())
}

/// How many of a hundred writes had ended by when.
fn distributions(area: &Area<'_>, queue: &Queue) -> Result<()> {
    let unit = queue.one.median();
    let of = |samples: &Samples| -> Vec<_> {
        (1..=99).map(|percent| (samples.percentile(f64::from(percent)) / unit, percent)).collect()
    };
    let lines = [
        ("one writer".to_owned(), of(&queue.one), &BLUE),
        (format!("{WRITERS} writers"), of(&queue.many), &RED),
    ];
    let most = lines.iter().flat_map(|(_, line, _)| line).map(|point| point.0).fold(1.0, f64::max);
    let times: Range<f64> = 0.0..most * 1.05;
    let mut chart = ChartBuilder::on(area)
        .caption("percent of writes that have ended, by the median of one writer", ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(25)
        .y_label_area_size(110)
        .build_cartesian_2d(times, 0..100)?;
    chart.configure_mesh().draw()?;
    for (name, line, colour) in lines {
        chart
            .draw_series(LineSeries::new(line, colour))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::LowerRight).draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_was_measured_is_in_the_picture() {
        let times = |names: &[&str]| -> Table {
            names.iter().map(|name| ((*name).to_owned(), Samples(vec![1.0, 3.0, 2.0]))).collect()
        };
        let starts = Starts {
            http: times(&[BARE_DEFAULT, "one"]),
            https: times(&[BARE_DEFAULT, "other"]),
            ..Starts::default()
        };
        let queue = Queue { one: Samples(vec![1.0, 2.0]), many: Samples(vec![2.0, 4.0]), ..Queue::default() };
        let file = tempfile::NamedTempFile::new().unwrap();
        draw(file.path(), &starts, &queue).unwrap();
        let drawn = std::fs::read_to_string(file.path()).unwrap();
        for text in [BARE_DEFAULT, "one", "other", "one writer", "64 writers"] {
            assert!(drawn.contains(text), "{text} is not in {drawn}");
        }
        assert!(drawn.trim_end().ends_with("</svg>"), "{drawn}");
        assert!(draw(file.path(), &Starts::default(), &queue).is_err());
    }
}
