//! Cases that impose a condition on the store, or on the connection to it, and then call the backend.

use std::time::{Duration, Instant};

use ksm_storage_core::{ErrorKind, Outcome, Payload, StorageBackend, StoreOutcome, Stored, Version};

use crate::{
    Condition, Failure, FailureKind, SystemUnderTest,
    failure::{Checked, ensure},
    rig::Rig,
};

const BEFORE: &str = r#"{"url":"before"}"#;
const AFTER: &str = r#"{"url":"after"}"#;
/// Maximum time until a delivered store is carried out.
const SETTLING: Duration = Duration::from_millis(500);

/// Checks that a load fails under this condition, other than as absent, and succeeds afterwards.
async fn load_fails(sut: SystemUnderTest, condition: Condition) -> Checked {
    let rig = Rig::new(&*sut.fixture, BEFORE).await?;
    rig.impose(condition).await?;
    let loaded = rig.load().await?;
    rig.restore().await;
    match loaded {
        Ok(Stored::Absent { .. }) => {
            return Err(format!("the store is {condition}, and a load reports absence").into());
        }
        Ok(_) => {
            return Err(format!(
                "the store is {condition}, and a load returns a payload: from a cache, or the fixture does not impose the condition"
            )
            .into());
        }
        Err(error) => {
            ensure!(
                !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidConfig),
                "the store is {condition}, and a load fails as {:?}",
                error.kind()
            );
        }
    }
    recovers(&rig, condition).await
}

async fn recovers(rig: &Rig, condition: Condition) -> Checked {
    let mut loaded = rig.load().await?;
    // A connection that was open under the condition may be lost.
    if loaded.is_err() {
        tokio::time::sleep(rig.store.limits().staleness).await;
        loaded = rig.load().await?;
    }
    match loaded {
        Ok(found) => {
            ensure!(found.payload().is_some(), "after the store was {condition}, the content is gone");
        }
        Err(error) => {
            return Err(format!("after the store was {condition}, a load still fails: {error}").into());
        }
    }
    Ok(())
}

pub(super) async fn c01_unreadable_is_not_absent(sut: SystemUnderTest) -> Checked {
    load_fails(sut, Condition::Unreadable).await
}

pub(super) async fn c01_refused_is_not_absent(sut: SystemUnderTest) -> Checked {
    load_fails(sut, Condition::Refused).await
}

pub(super) async fn c01_unreachable_is_not_absent(sut: SystemUnderTest) -> Checked {
    load_fails(sut, Condition::Unreachable).await
}

pub(super) async fn c01_silent_is_not_absent(sut: SystemUnderTest) -> Checked {
    load_fails(sut, Condition::Silent).await
}

pub(super) async fn c01_cut_reply_is_not_absent(sut: SystemUnderTest) -> Checked {
    load_fails(sut, Condition::ReplyCut).await
}

/// Checks that the outcome claimed by a store under this condition is true.
async fn claim_holds(sut: SystemUnderTest, condition: Condition) -> Checked {
    let rig = Rig::new(&*sut.fixture, BEFORE).await?;
    let expected = rig.backend.load().await?.version().clone();
    rig.impose(condition).await?;
    let result = rig.store(&expected, AFTER).await;
    rig.restore().await;
    let claim = match result? {
        Ok(StoreOutcome::Committed { .. }) => "a commit",
        Ok(StoreOutcome::Conflict { applied_if, .. }) if !applied_if.is_empty() => {
            return applied_under(&rig, &applied_if).await;
        }
        Ok(StoreOutcome::Conflict { .. }) => "a conflict, in which nothing is changed",
        Err(error) if error.outcome() == Outcome::NotApplied => "`NotApplied`",
        Err(error) if error.outcome() == Outcome::Applied => "`Applied`",
        Err(_) => return whole(&rig, condition).await,
    };
    let should_be_there = matches!(claim, "a commit" | "`Applied`");
    let end = Instant::now() + SETTLING;
    loop {
        let stored = rig.store.read().await;
        let there = stored == Some(AFTER.into());
        if should_be_there {
            ensure!(there, "the store was {condition}; a store claims {claim} but was not applied");
            return Ok(());
        }
        ensure!(!there, "the store was {condition}; a store claims {claim} but was applied");
        if Instant::now() > end {
            return whole(&rig, condition).await;
        }
        tokio::time::sleep(SETTLING / 20).await;
    }
}

/// Checks that a store that ended in a conflict but takes effect later does so under one of the versions it named.
async fn applied_under(rig: &Rig, versions: &[Version]) -> Checked {
    tokio::time::sleep(SETTLING).await;
    if rig.store.read().await == Some(AFTER.into()) {
        let loaded = rig.load().await??;
        ensure!(
            versions.contains(loaded.version()),
            "a store claims a conflict but was applied, under none of the versions in `applied_if`"
        );
    }
    Ok(())
}

async fn whole(rig: &Rig, condition: Condition) -> Checked {
    let stored = rig.store.read().await;
    let whole = [BEFORE, AFTER].map(|json| Some(Payload::from(json))).contains(&stored);
    ensure!(whole, "the store was {condition}; the stored value is neither the old one nor the new one");
    Ok(())
}

pub(super) async fn c04_refused_store_claims_truth(sut: SystemUnderTest) -> Checked {
    claim_holds(sut, Condition::Refused).await
}

pub(super) async fn c04_silent_store_claims_truth(sut: SystemUnderTest) -> Checked {
    claim_holds(sut, Condition::Silent).await
}

pub(super) async fn c04_cut_reply_claims_truth(sut: SystemUnderTest) -> Checked {
    claim_holds(sut, Condition::ReplyCut).await
}

/// A repeated request must not be mistaken for another writer's.
pub(super) async fn c04_one_cut_reply_claims_truth(sut: SystemUnderTest) -> Checked {
    claim_holds(sut, Condition::OneReplyCut).await
}

pub(super) async fn c04_garbled_reply_claims_truth(sut: SystemUnderTest) -> Checked {
    claim_holds(sut, Condition::Unreadable).await
}

pub(super) async fn c04_held_request_claims_truth(sut: SystemUnderTest) -> Checked {
    claim_holds(sut, Condition::Held).await
}

pub(super) async fn c04_full_store_claims_truth(sut: SystemUnderTest) -> Checked {
    claim_holds(sut, Condition::Full).await
}

pub(super) async fn c09_cut_request_stores_nothing_half(sut: SystemUnderTest) -> Checked {
    claim_holds(sut, Condition::RequestCut).await
}

/// Checks that a load, a store and a confirmation complete in time.
async fn ends(sut: SystemUnderTest, condition: Condition) -> Checked {
    let rig = Rig::new(&*sut.fixture, BEFORE).await?;
    let expected = rig.backend.load().await?.version().clone();
    rig.impose(condition).await?;
    let wrong = |hung: Failure| match hung.kind() {
        FailureKind::Hung => Failure::from(format!("the store is {condition}: {hung}")),
        _ => hung,
    };
    let loaded = rig.load().await.map_err(wrong).map(drop);
    // Runs even if the load has not completed, because the case covers both.
    let stored = rig.store(&expected, AFTER).await.map_err(wrong).map(drop);
    let confirmed = rig.ends("confirmation", rig.backend.confirm(&expected)).await.map_err(wrong).map(drop);
    rig.restore().await;
    loaded.and(stored).and(confirmed)
}

pub(super) async fn c14_silence_ends_calls(sut: SystemUnderTest) -> Checked {
    ends(sut, Condition::Silent).await
}

pub(super) async fn c14_slowness_ends_calls(sut: SystemUnderTest) -> Checked {
    ends(sut, Condition::Slow).await
}

pub(super) async fn c14_refusal_ends_calls(sut: SystemUnderTest) -> Checked {
    ends(sut, Condition::Refused).await
}

pub(super) async fn c14_unreachable_ends_calls(sut: SystemUnderTest) -> Checked {
    ends(sut, Condition::Unreachable).await
}
