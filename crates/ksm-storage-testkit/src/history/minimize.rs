use std::fmt;

use super::{Event, State, Verdict, check};

/// Returns a part of a violating history that is a violation by itself, or the whole history if it is not a violation.
/// Each step of the search is limited to `steps` steps of `check`.
///
/// The part ends with the first return that cannot be explained. A call is omitted if the rest is a violation
/// whatever the call returned, and even if it never happened.
pub fn minimize(state: &State, events: &[Event], steps: usize) -> Vec<Event> {
    let is_violation = |events: &[Event]| check(state, events, steps) == Verdict::Violation;
    let mut returns: Vec<_> = events.iter().filter_map(|event| Some(event.returned.as_ref()?.0)).collect();
    returns.sort_unstable();
    let Some(mut kept) = returns.into_iter().map(|end| until(events, end)).find(|part| is_violation(part))
    else {
        return events.to_vec();
    };
    let mut index = kept.len();
    while index > 0 {
        index -= 1;
        // If the history is a violation with this call left open, it is one without the call.
        let mut open = kept.clone();
        open[index].returned = None;
        if is_violation(&open) {
            kept.remove(index);
        }
    }
    kept
}

/// The history as known at the time `end`.
fn until(events: &[Event], end: u64) -> Vec<Event> {
    let mut part: Vec<_> = events.iter().filter(|event| event.invoked <= end).cloned().collect();
    for event in &mut part {
        event.returned.take_if(|(at, _)| *at > end);
    }
    part
}

/// Prints a history in order of invocation, with a column per client, for a failure message.
///
/// ```text
///      0 ┌  client 0: Set("url", "1")
///      1 └  client 0:   Done
/// ```
#[derive(Debug)]
pub struct Timeline<'a>(pub &'a [Event]);

impl fmt::Display for Timeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = self.0.iter().map(|event| event.client + 1).max().unwrap_or(0);
        let mut lines: Vec<(u64, &Event, bool)> = Vec::new();
        for event in self.0 {
            lines.push((event.invoked, event, true));
            lines.extend(event.returned.as_ref().map(|(at, _)| (*at, event, false)));
        }
        lines.sort_by_key(|(at, ..)| *at);
        let mut running = vec![false; clients];
        for (at, event, begins) in lines {
            write!(f, "  {at:>4} ")?;
            for (client, running) in running.iter().enumerate() {
                let mark = match (client == event.client, begins, running) {
                    (true, true, _) => "┌",
                    (true, false, _) => "└",
                    (false, _, true) => "│",
                    (false, _, false) => " ",
                };
                f.write_str(mark)?;
            }
            running[event.client] = begins && event.returned.is_some();
            match (&event.returned, begins) {
                (Some((_, answer)), false) => writeln!(f, "  client {}:   {answer:?}", event.client)?,
                (Some(_), true) => writeln!(f, "  client {}: {:?}", event.client, event.call)?,
                (None, _) => writeln!(f, "  client {}: {:?}, outcome unknown", event.client, event.call)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Answer, Call},
        *,
    };

    const STEPS: usize = 10_000;

    fn event(client: usize, call: Call, invoked: u64, returned: u64, answer: Answer) -> Event {
        Event { client, handle: client, call, invoked, returned: Some((returned, answer)) }
    }

    /// A lost update among unrelated calls.
    fn lost_update() -> Vec<Event> {
        let value = |value: &str| Answer::Value(Some(value.into()));
        vec![
            event(0, Call::Set("b", "9".into()), 0, 1, Answer::Done),
            event(1, Call::Set("a", "1".into()), 2, 3, Answer::Done),
            event(0, Call::Increment("a"), 4, 7, value("1")),
            event(1, Call::Increment("a"), 5, 8, value("1")),
            event(2, Call::Delete("b"), 6, 9, Answer::Found(true)),
            event(2, Call::Refresh, 10, 11, Answer::Document(State::from([("a", "2".into())]))),
        ]
    }

    #[test]
    fn irrelevant_calls_are_removed() {
        let history = lost_update();
        let short = minimize(&State::new(), &history, STEPS);
        assert_eq!(check(&State::new(), &short, STEPS), Verdict::Violation);
        // The set of "a" matters: without it, no increment would see "1".
        assert!(short.len() <= 2, "{}", Timeline(&short));
        assert!(short.iter().all(|event| matches!(event.call, Call::Increment("a"))), "{}", Timeline(&short));
    }

    #[test]
    fn a_good_history_stays_whole() {
        let history = lost_update()[..3].to_vec();
        assert_eq!(minimize(&State::new(), &history, STEPS), history);
    }

    #[test]
    fn a_timeline_shows_who_overlapped() {
        let mut history = lost_update()[2..4].to_vec();
        history[1].returned = None;
        let expected = r#"     4 ┌   client 0: Increment("a")
     5 │┌  client 1: Increment("a"), outcome unknown
     7 └   client 0:   Value(Some("1"))
"#;
        assert_eq!(Timeline(&history).to_string(), expected);
    }
}
