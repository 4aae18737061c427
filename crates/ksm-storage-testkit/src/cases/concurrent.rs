use std::time::{Duration, Instant};

use ksm_storage_core::{ConfigKey, Error, ErrorKind, Outcome, Writes};

use crate::{
    SystemUnderTest,
    failure::{Checked, ensure, ensure_shown},
    handle::Settings,
    histories::{
        Mode, check_histories,
        program::calls,
        property,
        record::{answer, contents, increment},
    },
    history::{Call, State},
};

pub(super) async fn c06_a_change_is_applied_once(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench("{}").await?;
    for round in 0..5 {
        let seen = bench.handle.update(increment("url")).await?;
        let expected = if round == 0 { String::new() } else { round.to_string() };
        ensure!(seen == expected, "increment {round} saw {seen:?} instead of {expected:?}");
    }
    let count = bench.stored_value(ConfigKey::Url).await?;
    ensure!(count.as_deref() == Some("5"), "five increments resulted in {count:?}");
    Ok(())
}

/// With real pauses and core's default limits, a busy store loses no update and rarely ends in `Conflict`.
pub(super) async fn c06_increments_through_eight_handles_all_count(sut: SystemUnderTest) -> Checked {
    const HANDLES: usize = 8;
    const TASKS: usize = 8;
    const INCREMENTS: usize = 20;
    /// A slow store gets fewer increments.
    const TIME: Duration = Duration::from_secs(5);
    let end = Instant::now() + TIME;
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    let mut tasks = Vec::new();
    for _ in 0..HANDLES {
        let settings = Settings { clock: None, deadline: Duration::from_mins(1), ..Settings::default() };
        let handle = sut.core.open(store.open().await, settings).await?;
        for _ in 0..TASKS {
            let handle = handle.another();
            tasks.push(tokio::spawn(async move {
                let (mut made, mut beaten) = (0, 0);
                while made + beaten < INCREMENTS && Instant::now() < end {
                    match handle.update(increment("url")).await {
                        Ok(_) => made += 1,
                        Err(error)
                            if error.kind() == ErrorKind::Conflict
                                && error.outcome() == Outcome::NotApplied =>
                        {
                            beaten += 1;
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok::<_, Error>((made, beaten))
            }));
        }
    }
    let (mut made, mut beaten) = (0, 0);
    for task in tasks {
        let (own, others) = task.await.map_err(|error| error.to_string())??;
        made += own;
        beaten += others;
    }
    ensure!(beaten * 20 <= made, "{beaten} increments ended in a conflict, and only {made} were applied");
    ensure_shown!(made > 0, "no increment was started in {TIME:?}");
    let expected = made.to_string();
    let handle = sut.core.open(store.open().await, Settings::default()).await?;
    let count = handle.get(ConfigKey::Url);
    ensure!(count.as_ref() == Some(&expected), "{expected} increments resulted in {count:?}");
    Ok(())
}

pub(super) async fn c06_programs_match_a_plain_map(sut: SystemUnderTest) -> Checked {
    let programs = sut.fixture.fresh().await.limits().programs;
    property(programs, calls(20), move |calls| {
        let sut = sut.clone();
        async move {
            let bench = sut.bench("{}").await?;
            let other = bench.elsewhere().await?;
            let mut state = State::new();
            for (index, call) in calls.iter().filter(|call| **call != Call::Get).enumerate() {
                // Alternates between the handles, so that each call meets the other handle's last write.
                let handle = if index % 2 == 0 { &bench.handle } else { &other };
                let answer = answer(&**handle, call).await?;
                let expected = call.apply(&mut state);
                ensure!(
                    answer == expected,
                    "call {index} ({call:?}) returned {answer:?} instead of {expected:?}"
                );
            }
            let stored = contents(&bench.stored().await?);
            ensure!(stored == state, "{stored:?} is stored instead of {state:?}");
            Ok(())
        }
    })
    .await
}

pub(super) async fn c06_histories_are_linearizable(sut: SystemUnderTest) -> Checked {
    let programs = sut.fixture.fresh().await.limits().programs;
    check_histories(&sut, Mode::Plain, programs).await.map(drop)
}

pub(super) async fn c06_histories_with_faults_are_linearizable(sut: SystemUnderTest) -> Checked {
    let programs = sut.fixture.fresh().await.limits().programs;
    let summary = check_histories(&sut, Mode::Faults, programs).await?;
    ensure_shown!(summary.injected > 0, "no fault was injected, so this proves nothing");
    Ok(())
}

/// With exact writes, every history must be linearizable; with cooperative ones, a reported displacement excuses it.
pub(super) async fn c07_histories_with_a_foreign_writer_are_linearizable(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    let (writes, programs) = (store.open().await.capabilities().writes, store.limits().programs);
    let summary = check_histories(&sut, Mode::Foreign, programs).await?;
    ensure!(
        summary.displaced == 0 || writes == Writes::Cooperative,
        "{} of {} histories are not linearizable, and a foreign write was displaced in them",
        summary.displaced,
        summary.histories
    );
    Ok(())
}
