//! What may happen next, and what must hold then.

use ksm_storage_aws::Concurrency;
use stateright::{Model, Property};

use crate::{
    fault::Fault,
    protocol::Step,
    service::{Id, Service, Version},
    world::{Broken, Budget, World},
    writer::{At, Outcome, Wait, Writer},
};

/// Writers that add one each to a counter, and what befalls them.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) writers: Vec<Concurrency>,
    /// Whether the secret has a value to begin with.
    pub(crate) value: bool,
    pub(crate) budget: Budget,
    /// How many conflicts end a logical write.
    pub(crate) conflicts: u8,
    pub(crate) fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The writer's next step, with a reply.
    Step(usize),
    /// The same, and what it reads is stale.
    StaleRead(usize),
    /// The request is carried out and its reply lost; or sent once more.
    LoseReply(usize, Then),
    /// The request stays on its way; or is sent once more.
    Delay(usize, Then),
    /// A late request arrives.
    Arrive(usize),
    /// Two seconds pass for a writer that waits.
    Elapse(usize),
    /// A second passes for a writer that has put.
    Slow(usize),
    Crash(usize),
    Foreign,
    Rollback(Id),
}

/// What a writer does about a reply that does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Look,
    Resend,
}

impl Protocol {
    fn step<'a>(&self, world: &'a mut World, number: usize) -> Step<'a> {
        Step { world, number, mode: self.writers[number], fault: self.fault, conflicts: self.conflicts }
    }

    fn unanswered(world: &mut World, number: usize, then: Then) {
        let writer = &mut world.writers[number];
        writer.at = match (writer.at, then) {
            (At::Put, Then::Look) => At::Look,
            (At::Move, Then::Look) => At::LookMoved,
            (at, _) => at,
        };
    }

    fn of_writer(&self, world: &World, number: usize, actions: &mut Vec<Action>) {
        let (writer, budget) = (&world.writers[number], &world.budget);
        match writer.at {
            At::Done(_) => return,
            At::Load | At::Refused | At::Taken(Wait { elapsed: false, .. })
                if budget.stale > 0 && world.service.previous != Id::NO_VALUE =>
            {
                actions.push(Action::StaleRead(number));
            }
            At::Put | At::Move => {
                let resends = writer.at == At::Put || self.fault == Fault::MoveTwice;
                for then in [Then::Look, Then::Resend].into_iter().take(1 + usize::from(resends)) {
                    if budget.lost > 0 {
                        actions.push(Action::LoseReply(number, then));
                    }
                    if budget.late > 0 {
                        actions.push(Action::Delay(number, then));
                    }
                }
            }
            At::Staged { .. } => {
                if budget.slow > 0 && !writer.slow {
                    actions.push(Action::Slow(number));
                }
                if budget.crash > 0 {
                    actions.push(Action::Crash(number));
                }
            }
            At::Pause(wait) if Self::may_elapse(world, writer, wait) => actions.push(Action::Elapse(number)),
            _ => {}
        }
        actions.push(Action::Step(number));
    }

    /// The assumption about time: a move takes effect within a second of being sent, or never. So none is on its way to
    /// a slot that was seen taken two seconds ago.
    fn may_elapse(world: &World, writer: &Writer, wait: Wait) -> bool {
        let seen = |token| seen_taken(writer, wait, token);
        let mut moving = world.writers.iter().filter(|other| other.at == At::Move);
        !moving.any(|other| seen(other.token()))
            && !world.late.iter().any(|late| late.content.is_none() && seen(late.token))
    }

    /// Whoever has staged in one of those slots is slow by now.
    fn elapse(&self, world: &mut World, number: usize) {
        let At::Pause(wait) = world.writers[number].at else { return };
        let waiting = world.writers[number].clone();
        for (other, writer) in world.writers.iter_mut().enumerate() {
            let placing = matches!(writer.at, At::Put | At::Look | At::Staged { .. });
            let ours = |content| world.service.holds(writer.token(), content, self.fault.nonces());
            let holds = ours(&writer.content(other)) == Some(true);
            if placing && holds && seen_taken(&waiting, wait, writer.token()) {
                writer.slow = self.writers[other] == Concurrency::Strict;
            }
        }
        world.writers[number].at = At::Taken(Wait { elapsed: true, ..wait });
    }
}

fn seen_taken(writer: &Writer, wait: Wait, token: Id) -> bool {
    wait.next.is_some_and(|next| (1..next).any(|slot| writer.expected.slot(slot) == token))
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            service: if self.value { Service::with_value() } else { Service::empty() },
            writers: vec![Writer::new(); self.writers.len()],
            late: Vec::new(),
            budget: self.budget,
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
        actions.extend((0..world.late.len()).map(Action::Arrive));
        if world.budget.foreign > 0 {
            actions.push(Action::Foreign);
        }
        if world.budget.rollback > 0 {
            let earlier = |version: &&Version| version.promoted && version.id != world.service.current;
            actions.extend(
                world.service.versions.iter().filter(earlier).map(|version| Action::Rollback(version.id)),
            );
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Step(number) => self.step(&mut world, number).proceed(false),
            Action::StaleRead(number) => {
                world.budget.stale -= 1;
                self.step(&mut world, number).proceed(true);
            }
            Action::LoseReply(number, then) => {
                world.budget.lost -= 1;
                let mut step = self.step(&mut world, number);
                if step.at() == At::Put {
                    step.put();
                } else {
                    step.move_current();
                }
                Self::unanswered(&mut world, number, then);
            }
            Action::Delay(number, then) => {
                world.budget.late -= 1;
                let step = self.step(&mut world, number);
                let late = if step.at() == At::Put { step.put_request() } else { step.move_request() };
                world.late.push(late);
                Self::unanswered(&mut world, number, then);
            }
            Action::Arrive(index) => {
                let late = world.late.remove(index);
                world.arrive(&late, self.writers[late.writer], self.fault);
            }
            Action::Elapse(number) => self.elapse(&mut world, number),
            Action::Slow(number) => {
                world.budget.slow -= 1;
                world.writers[number].slow = true;
            }
            Action::Crash(number) => {
                world.budget.crash -= 1;
                world.writers[number].end(Outcome::Crashed);
            }
            Action::Foreign => {
                world.budget.foreign -= 1;
                world.overwrite();
            }
            Action::Rollback(id) => {
                world.budget.rollback -= 1;
                world.roll_back(id);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let broken = |name, condition| Property::always(name, condition);
        vec![
            broken("no change is lost", |_, world: &World| world.broken != Some(Broken::Lost)),
            broken("no change is applied twice", |_, world| world.broken != Some(Broken::Twice)),
            broken("what is refused stays so", |_, world| world.broken != Some(Broken::RefusedApplied)),
            broken("nothing is displaced in silence", |_, world| world.broken != Some(Broken::Silent)),
            broken("no report is false", |_, world| world.broken != Some(Broken::FalseReport)),
            broken("strict writes displace nothing", |_, world| world.broken != Some(Broken::Inexact)),
            broken("the counter holds what was acknowledged, once", counter_is_right),
            Property::sometimes(CONFLICT, |_, world: &World| {
                world.writers.iter().any(|writer| writer.conflicts > 0)
            }),
            Property::sometimes(BURNT, |_, world: &World| world.writers.iter().any(|writer| writer.slot > 1)),
            Property::sometimes(UNKNOWN, |_, world| ended(world, |outcome| outcome == Outcome::Unknown)),
            Property::sometimes(DISPLACED, |_, world| {
                ended(world, |outcome| matches!(outcome, Outcome::Displaced(_)))
            }),
        ]
    }
}

/// Looks at the value alone, and knows nothing of how it came about.
fn counter_is_right(model: &Protocol, world: &World) -> bool {
    let service = &world.service;
    let added = service.version(service.current).map_or([0; 3], |version| version.content.added);
    let undisturbed = model.budget.foreign + model.budget.rollback == 0;
    world.writers.iter().zip(added).all(|(writer, added)| match writer.outcome() {
        Some(outcome) if outcome.is_committed() && undisturbed => added == 1,
        Some(Outcome::NotApplied) => added == 0,
        _ => added <= 1,
    })
}

fn ended(world: &World, how: impl Fn(Outcome) -> bool) -> bool {
    world.writers.iter().filter_map(Writer::outcome).any(how)
}

/// What the model must be able to reach, for its promises to mean anything.
pub(crate) const CONFLICT: &str = "a store meets a conflict";
pub(crate) const BURNT: &str = "a burnt slot is passed over";
pub(crate) const UNKNOWN: &str = "an outcome stays unknown";
pub(crate) const DISPLACED: &str = "a displaced version is reported";
