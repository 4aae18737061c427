//! The possible next steps, and the invariants after each.

use stateright::{Model, Property};

use crate::{
    fault::Fault,
    protocol::{Answer, Labels},
    service::{Cause, Content, Id, NOBODY, WRITES},
    steps::{Action, ById, Protocol},
    world::{Broken, Outcome, Phase, World, Writer},
};

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut write = 0;
        let writers = self.writers.iter().map(|&(mode, writes)| {
            write += writes;
            Writer::new(mode, write - writes, writes)
        });
        vec![World {
            service: self.service.clone(),
            writers: writers.collect(),
            flights: Vec::new(),
            budget: self.budget,
            effects: [0; WRITES],
            refused: [0; WRITES],
            outcomes: [None; WRITES],
            broken: None,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.broken.is_some() {
            return;
        }
        for number in 0..world.writers.len() {
            self.of_writer(world, number, actions);
        }
        actions.extend((0..world.flights.len()).map(Action::Arrive));
        if world.budget.foreign > 0 {
            actions.push(Action::Foreign);
        }
        if world.budget.rollback > 0 {
            let current = world.service.current();
            let earlier =
                world.service.versions.iter().filter(|version| version.was_current && version.id != current);
            actions.extend(earlier.map(|version| Action::Rollback(version.id)));
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        let acknowledged =
            |accepted| Some(if accepted { Answer::Done(Labels::Neither) } else { Answer::Conflict });
        match action {
            Action::Read(number, moment) => self.read(&mut world, number, moment),
            Action::Deliver(number) => self.send(&mut world, number, true, acknowledged),
            Action::LoseReply(number) => {
                world.budget.lost -= 1;
                self.send(&mut world, number, true, |_| Some(Answer::Unanswered));
            }
            Action::Delay(number) => {
                world.budget.late -= 1;
                world.flights.extend(self.flight(last, number));
                self.send(&mut world, number, false, |_| Some(Answer::Unanswered));
            }
            Action::CopyFirst(number) => {
                world.budget.twice -= 1;
                self.send(&mut world, number, true, |_| None);
            }
            Action::CopyLater(number) => {
                world.budget.twice -= 1;
                world.flights.extend(self.flight(last, number));
            }
            Action::Exists(number) => {
                world.budget.exists -= 1;
                self.send(&mut world, number, true, |_| Some(Answer::Conflict));
            }
            Action::Refuse(number) => {
                world.budget.refused -= 1;
                self.send(&mut world, number, false, |_| Some(Answer::Refused));
            }
            Action::Arrive(index) => {
                let flight = world.flights.remove(index);
                world.arrive(&flight, self.fault != Fault::NoNonce);
            }
            Action::Crash(number) => {
                world.budget.crash -= 1;
                world.end(number, None, Outcome::Crashed);
            }
            Action::Foreign => {
                world.budget.foreign -= 1;
                let born = world.service.moments.len();
                world.service.insert(Id::FOREIGN, Content::FOREIGN, born);
                world.service.make_current(Id::FOREIGN, Cause::Foreign);
            }
            Action::Rollback(id) => {
                world.budget.rollback -= 1;
                world.service.make_current(id, Cause::Rollback);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no change is lost", |_, world: &World| world.broken != Some(Broken::Lost)),
            Property::always("no change is applied twice", |_, world: &World| {
                world.broken != Some(Broken::Twice)
            }),
            Property::always("what is refused stays so", |_, world: &World| {
                world.broken != Some(Broken::RefusedApplied)
            }),
            Property::always("nothing is displaced in silence", |model: &Self, world: &World| {
                world.broken != Some(Broken::Silent) || model.by_id == ById::Stale
            }),
            Property::always("no report is false", |model: &Self, world: &World| {
                world.broken != Some(Broken::FalseReport) || model.by_id == ById::Stale
            }),
            Property::always("no writer of ours is called foreign", |model: &Self, world: &World| {
                world.broken != Some(Broken::OwnCalledForeign) || model.by_id == ById::Stale
            }),
            Property::always("the counter holds what was acknowledged, once", counter_is_right),
            Property::always("what was answered is decided", is_decided),
            Property::sometimes(CONFLICT, |_, world: &World| {
                world.writers.iter().any(|writer| writer.conflicts > 0)
            }),
            Property::sometimes(NEXT_SLOT, |_, world: &World| {
                world
                    .writers
                    .iter()
                    .any(|writer| matches!(&writer.phase, Phase::Store(store) if store.slot > 1))
            }),
            Property::sometimes(UNKNOWN, |_, world: &World| {
                ended(world, |outcome| outcome == Outcome::Unknown)
            }),
            Property::sometimes(DISPLACED, |_, world: &World| {
                ended(world, |outcome| matches!(outcome, Outcome::Displaced { .. }))
            }),
        ]
    }
}

/// Compares only the value, not how it came about.
fn counter_is_right(_: &Protocol, world: &World) -> bool {
    if world.service.disturbed() || world.broken.is_some() {
        return true;
    }
    let current = world.service.version(world.service.current());
    let added =
        current.filter(|version| version.content.write != NOBODY).map(|version| version.content.added);
    world.outcomes.iter().zip(added.unwrap_or_default()).all(|(outcome, added)| match outcome {
        Some(outcome) if outcome.is_committed() => added == 1,
        Some(Outcome::NotApplied) => added == 0,
        _ => added <= 1,
    })
}

/// If every request is answered and no foreign writer interferes, no outcome stays unknown.
fn is_decided(model: &Protocol, world: &World) -> bool {
    let answered = model.budget.lost + model.budget.late == 0 && model.by_id == ById::Fresh;
    !answered || world.service.disturbed() || !ended(world, |outcome| outcome == Outcome::Unknown)
}

fn ended(world: &World, how: impl Fn(Outcome) -> bool) -> bool {
    world.outcomes.iter().flatten().any(|&outcome| how(outcome))
}

/// States that the model must reach for its invariants to mean anything.
pub(crate) const CONFLICT: &str = "a store meets a conflict";
pub(crate) const NEXT_SLOT: &str = "a slot is passed over";
pub(crate) const UNKNOWN: &str = "an outcome stays unknown";
pub(crate) const DISPLACED: &str = "a displaced version is reported";
