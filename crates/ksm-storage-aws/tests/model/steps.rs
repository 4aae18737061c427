//! The writers, and the next steps that each may take.

use crate::{
    fault::Fault,
    protocol::{
        Answer, Author, Displacement, Finding, FoundVersion, Labels, Mode, Placement, Progress, Request,
        Store, Verdict, store::StoreStep,
    },
    service::{Content, Id, Service, WRITES},
    world::{Budget, Flight, Kind, Outcome, Phase, World, Writer},
};

/// The staleness of labels in reads by ID. Reads by label may be arbitrarily stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ById {
    /// The assumption of the code.
    Fresh,
    /// Up to as old as the version. This still rules out lost and repeated changes, except for the one decision that
    /// assumes fresh labels (step 4 of the ownership of a move), which stays undecided here.
    Stale,
}

/// Writers that increment a counter, and the faults they meet.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    /// The mode of each writer, and its number of writes.
    pub(crate) writers: Vec<(Mode, u8)>,
    pub(crate) service: Service,
    pub(crate) budget: Budget,
    /// The number of conflicts that ends a logical write.
    pub(crate) conflicts: u8,
    pub(crate) by_id: ById,
    pub(crate) fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A writer reads labels as of this moment.
    Read(usize, usize),
    /// Its request arrives and is answered.
    Deliver(usize),
    LoseReply(usize),
    Delay(usize),
    /// A copy of its request arrives; the original is still in flight.
    CopyFirst(usize),
    /// A copy of its request stays in flight.
    CopyLater(usize),
    /// Its put is carried out but answered with `ResourceExistsException`.
    Exists(usize),
    /// Its put is refused.
    Refuse(usize),
    /// A request in flight arrives.
    Arrive(usize),
    Crash(usize),
    Foreign,
    Rollback(Id),
}

impl Protocol {
    fn request(writer: &Writer) -> Option<Request<Id>> {
        match &writer.phase {
            Phase::Store(store) => Some(store.request()),
            Phase::Check { check, .. } => Some(check.request()),
            Phase::Load | Phase::Done => None,
        }
    }

    pub(super) fn flight(&self, world: &World, number: usize) -> Option<Flight> {
        let writer = &world.writers[number];
        let Phase::Store(store) = &writer.phase else { return None };
        let kind = match store.request() {
            Request::Move { .. } => Kind::Move,
            _ => Kind::Put(store.placement),
        };
        let content = self.stored(writer.content(store.placement));
        Some(Flight { content, base: store.base, token: store.token(), view: writer.view, kind })
    }

    /// The bytes that are sent.
    fn stored(&self, content: Content) -> Content {
        let placement = if self.fault == Fault::NoBit { Placement::Plain } else { content.placement };
        Content { placement, ..content }
    }

    /// Returns true if the fault makes this step read labels by label instead of by ID.
    fn by_label(&self, writer: &Writer) -> bool {
        match &writer.phase {
            Phase::Store(store) => {
                self.fault == Fault::BaseByLabel && matches!(store.step, StoreStep::ReadBase(_))
            }
            Phase::Check { check, .. } => {
                self.fault == Fault::PreviousByLabel && !matches!(check.request(), Request::GetPrevious)
            }
            Phase::Load | Phase::Done => false,
        }
    }

    fn reads(&self, world: &World, number: usize, actions: &mut Vec<Action>) {
        let (writer, service) = (&world.writers[number], &world.service);
        let moments = match Self::request(writer) {
            None => service.distinct(0, |moment| moment.current),
            Some(Request::GetPrevious) => service.distinct(0, |moment| moment.previous),
            Some(Request::Get(id)) => {
                let since = match (service.version(id), self.by_id) {
                    _ if self.by_label(writer) => 0,
                    (Some(version), ById::Stale) => version.born,
                    _ => service.now(),
                };
                service.distinct(since, |moment| moment.labels_of(id))
            }
            Some(_) => return,
        };
        actions.extend(moments.into_iter().map(|moment| Action::Read(number, moment)));
    }

    pub(super) fn of_writer(&self, world: &World, number: usize, actions: &mut Vec<Action>) {
        let (writer, budget) = (&world.writers[number], &world.budget);
        if writer.phase == Phase::Done {
            return;
        }
        self.reads(world, number, actions);
        let request = Self::request(writer);
        let is_put = matches!(request, Some(Request::Put { .. }));
        if is_put || matches!(request, Some(Request::Move { .. })) {
            actions.push(Action::Deliver(number));
            let faults = [
                (budget.lost, Action::LoseReply(number)),
                (budget.late, Action::Delay(number)),
                (budget.twice, Action::CopyFirst(number)),
                (budget.twice, Action::CopyLater(number)),
                (if is_put { budget.exists } else { 0 }, Action::Exists(number)),
                (if is_put { budget.refused } else { 0 }, Action::Refuse(number)),
            ];
            actions.extend(faults.into_iter().filter(|(left, _)| *left > 0).map(|(_, action)| action));
        }
        if budget.crash > 0 {
            actions.push(Action::Crash(number));
        }
    }

    /// Begins or restarts a logical write on `base`.
    fn begin(&self, world: &mut World, number: usize, base: Id, view: usize) {
        let tokens = world.writers[number].abandoned.clone();
        if self.fault != Fault::NoMemory && World::descends(base, &tokens) {
            return world.end(number, None, Outcome::Unverified);
        }
        let added = world.service.version(base).map_or([0; WRITES], |version| version.content.added);
        let writer = &mut world.writers[number];
        writer.phase = Phase::Store(Store::new(base, writer.mode));
        (writer.added, writer.view, writer.nonce) = (added, view, writer.nonce + 1);
    }

    /// Answers the writer's read with the labels as of `moment`.
    pub(super) fn read(&self, world: &mut World, number: usize, moment: usize) {
        let seen = world.service.moments[moment];
        let writer = &world.writers[number];
        let id = match Self::request(writer) {
            None => return self.begin(world, number, seen.current, moment),
            Some(Request::GetPrevious) => seen.previous,
            Some(Request::Get(id)) => id,
            Some(_) => return,
        };
        let content = world.service.version(id).map(|version| version.content);
        let answer = content.map_or(Answer::Missing, |content| {
            let placement = match &writer.phase {
                Phase::Store(store) => store.placement,
                _ => content.placement,
            };
            let own = self.stored(writer.content(placement)).is(&content, self.fault != Fault::NoNonce);
            let author = if own { Author::ThisStore } else { content.author() };
            Answer::Found(FoundVersion { id, labels: seen.labels_of(id), author })
        });
        match writer.phase.clone() {
            Phase::Store(store) => {
                // A foreign write before this read of the base must not go unnoticed.
                if matches!(store.step, StoreStep::ReadBase(_)) {
                    let view = &mut world.writers[number].view;
                    *view = moment.max(*view);
                }
                let answer = self.undecided(&store, answer);
                self.answer(world, number, store, answer, moment);
            }
            Phase::Check { check, again } => self.checked(world, number, check, answer, again),
            Phase::Load | Phase::Done => {}
        }
    }

    /// Hides the one answer that is only reliable with fresh labels.
    fn undecided(&self, store: &Store<Id>, answer: Answer<Id>) -> Answer<Id> {
        match answer {
            Answer::Found(seen) if self.by_id == ById::Stale && store.step == StoreStep::FindBase => {
                Answer::Found(FoundVersion { labels: Labels::Neither, ..seen })
            }
            answer => answer,
        }
    }

    /// Handles the answer to a put or a move.
    fn answer(&self, world: &mut World, number: usize, store: Store<Id>, answer: Answer<Id>, moment: usize) {
        let placement = store.placement;
        match self.fault.answer(store, answer) {
            Progress::Next(store) => {
                let writer = &mut world.writers[number];
                // The bit changes the bytes, and so the version that counts as ours.
                writer.nonce += u8::from(store.placement != placement);
                writer.phase = Phase::Store(store);
            }
            Progress::Done(Verdict::Committed { token, placement }) => {
                let base = match &world.writers[number].phase {
                    Phase::Store(store) => store.base,
                    _ => return,
                };
                world.writers[number].placed = world.service.now();
                if placement == Placement::Staged || self.fault == Fault::NoCheck {
                    return world.end(number, Some(token), Outcome::Committed);
                }
                world.writers[number].phase =
                    Phase::Check { check: Displacement::new(base, token), again: true };
            }
            Progress::Done(Verdict::Conflict { current, abandoned }) => {
                world.refuse(number);
                let writer = &mut world.writers[number];
                writer.abandoned.extend(abandoned);
                writer.conflicts += 1;
                if writer.conflicts >= self.conflicts {
                    return world.end(number, None, Outcome::NotApplied);
                }
                match current {
                    Some(current) => self.begin(world, number, current, moment),
                    None => writer.phase = Phase::Load,
                }
            }
            Progress::Done(Verdict::NotApplied(_)) => world.end(number, None, Outcome::NotApplied),
            Progress::Done(Verdict::Unknown(_)) => world.end(number, None, Outcome::Unknown),
        }
    }

    fn checked(
        &self,
        world: &mut World,
        number: usize,
        check: Displacement<Id>,
        answer: Answer<Id>,
        again: bool,
    ) {
        let (base, token) = (check.base, check.token);
        let outcome = match self.fault.check(check, answer) {
            Progress::Next(check) => {
                world.writers[number].phase = Phase::Check { check, again };
                return;
            }
            Progress::Done(Finding::Inconclusive) if again => {
                world.writers[number].phase =
                    Phase::Check { check: Displacement::new(base, token), again: false };
                return;
            }
            Progress::Done(Finding::Nothing) => Outcome::Committed,
            Progress::Done(Finding::Displaced { version, author }) => {
                let foreign = author == Author::Foreign && version != Id::FIRST;
                Outcome::Displaced { version, foreign: foreign || self.fault == Fault::EverythingIsForeign }
            }
            Progress::Done(Finding::Followed | Finding::Inconclusive) => Outcome::Unverified,
        };
        world.end(number, Some(token), outcome);
    }

    /// Sends the writer's request; `reply` maps the result to the answer that the writer receives.
    pub(super) fn send(
        &self,
        world: &mut World,
        number: usize,
        arrives: bool,
        reply: impl FnOnce(bool) -> Option<Answer<Id>>,
    ) {
        let Some(flight) = self.flight(world, number) else { return };
        let accepted = arrives && world.arrive(&flight, self.fault != Fault::NoNonce);
        if let Some(answer) = reply(accepted)
            && let Phase::Store(store) = world.writers[number].phase.clone()
        {
            let answer = match answer {
                Answer::Done(_) => {
                    Answer::Done(world.service.moments[world.service.now()].labels_of(flight.token))
                }
                answer => answer,
            };
            let now = world.service.now();
            self.answer(world, number, store, answer, now);
        }
    }
}
