//! The assumptions, in an order in which each check leaves the secret as the next one needs it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{
    Findings,
    scratch::{ApiError, Scratch, Version, words},
};
use crate::failure::Result;

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
const STAGED: &str = "KSM_STAGED";
const EXISTS: &str = "ResourceExistsException";
const MISSING: &str = "ResourceNotFoundException";
const INVALID: &str = "InvalidParameterException";
const MARKED: &str = "InvalidRequestException";
/// Number of reads right after a write, and of concurrent writers of one token.
const READS: usize = 10;
const WRITERS: usize = 6;
const MAX_VALUE: usize = 65_536;
/// The longest wait for a replica; AWS states no bound.
const REPLICATION: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(200);

type Answer = Result<Version, ApiError>;

pub(super) async fn run(scratch: &mut Scratch, findings: &mut Findings) {
    first_value(scratch, findings).await;
    tokens(scratch, findings).await;
    labels(scratch, findings).await;
    moves(scratch, findings).await;
    errors(scratch, findings).await;
    limits(scratch, findings).await;
    race(scratch, findings).await;
    freshness(scratch, findings).await;
    replicas(scratch, findings).await;
    deletion(scratch, findings).await;
}

fn rejected(answer: &Answer, code: &str) -> bool {
    answer.as_ref().is_err_and(|error| error.is(code))
}

fn accepted(answer: &Answer, test: impl FnOnce(&Version) -> bool) -> bool {
    answer.as_ref().is_ok_and(test)
}

fn done(answer: Result<(), ApiError>) -> Answer {
    answer.map(|()| Version { id: String::new(), labels: Vec::new() })
}

async fn first_value(scratch: &Scratch, findings: &mut Findings) {
    let empty = "a secret without a value is reported like a missing one";
    let label = "the first version gets AWSCURRENT, whatever label is requested";
    let again = "CreateSecret with the token and value of a version succeeds again";
    if scratch.fresh {
        let answer = scratch.labelled(CURRENT).await;
        findings.add(empty, rejected(&answer, MISSING), words(&answer));
        let token = scratch.token();
        let answer = scratch.put(&token, "{}", Some(STAGED)).await;
        findings.add(label, accepted(&answer, |version| version.has(CURRENT)), words(&answer));
        let answer = done(scratch.create(&token, "{}").await);
        findings.add(again, answer.is_ok(), words(&answer));
    } else {
        for assumption in [empty, label, again] {
            findings.not_checked(assumption, "the secret has versions already: remove it, and run again");
        }
    }
    let answer = done(scratch.create(&scratch.token(), "{\"other\":1}").await);
    findings.add("CreateSecret with another token is refused", rejected(&answer, EXISTS), words(&answer));
}

async fn tokens(scratch: &Scratch, findings: &mut Findings) {
    let (one, two) = (scratch.token(), scratch.token());
    let answer = scratch.put(&one, "{\"a\":1}", None).await;
    let named = accepted(&answer, |version| version.id == one);
    findings.add("the ClientRequestToken is the ID of the version", named, words(&answer));

    let before = scratch.count().await;
    let answer = scratch.put(&one, "{\"a\":1}", None).await;
    let same = accepted(&answer, |version| version.id == one) && scratch.count().await == before;
    findings.add("the same token with the same value does nothing, and succeeds", same, words(&answer));

    let answer = scratch.put(&one, "{\"a\":2}", None).await;
    findings.add("the same token with another value is refused", rejected(&answer, EXISTS), words(&answer));

    let _ = scratch.put(&two, "{\"b\":1}", None).await;
    let answer = scratch.put(&one, "{\"a\":1}", None).await;
    let attached = accepted(&answer, |version| version.labels == [PREVIOUS]);
    findings.add(
        "the reply to a repeated put has the current labels, not the requested ones",
        attached,
        words(&answer),
    );
    let current = scratch.by_id(&two).await;
    findings.add(
        "such a repetition moves no label",
        accepted(&current, |version| version.has(CURRENT)),
        words(&current),
    );
}

async fn labels(scratch: &Scratch, findings: &mut Findings) {
    let [one, two, three] = [scratch.token(), scratch.token(), scratch.token()];
    let _ = scratch.put(&one, "{\"c\":1}", None).await;
    let _ = scratch.put(&two, "{\"c\":2}", None).await;
    let (previous, current) = (scratch.by_id(&one).await, scratch.by_id(&two).await);
    let moved = accepted(&previous, |version| version.labels == [PREVIOUS])
        && accepted(&current, |version| version.has(CURRENT));
    findings.add(
        "a put moves AWSCURRENT to its version, and AWSPREVIOUS to the one before",
        moved,
        format!("before: {}; now: {}", words(&previous), words(&current)),
    );
    let staged = scratch.put(&three, "{\"c\":3}", Some(STAGED)).await;
    let current = scratch.by_id(&two).await;
    let unmoved = accepted(&staged, |version| version.labels == [STAGED])
        && accepted(&current, |version| version.has(CURRENT));
    findings.add(
        "a put with a label of its own leaves AWSCURRENT where it is",
        unmoved,
        format!("staged: {}; current: {}", words(&staged), words(&current)),
    );
}

async fn moves(scratch: &Scratch, findings: &mut Findings) {
    let [base, staged, other] = [scratch.token(), scratch.token(), scratch.token()];
    let _ = scratch.put(&base, "{\"d\":1}", None).await;
    let _ = scratch.put(&staged, "{\"d\":2}", Some(STAGED)).await;
    // Takes the label from the previous version.
    let _ = scratch.put(&other, "{\"d\":3}", Some(STAGED)).await;
    let answer = scratch.by_id(&staged).await;
    let kept = accepted(&answer, |version| version.labels.is_empty());
    findings.add("a version without labels is readable by its ID", kept, words(&answer));

    let answer = done(scratch.move_current(&staged, Some(&other)).await);
    findings.add(
        "AWSCURRENT is not moved from a version that does not have it",
        rejected(&answer, INVALID),
        words(&answer),
    );
    let answer = done(scratch.move_current(&staged, None).await);
    findings.add(
        "AWSCURRENT is not moved without naming the version that has it",
        rejected(&answer, INVALID),
        words(&answer),
    );
    let answer = done(scratch.move_current(&staged, Some(&base)).await);
    let (old, new) = (scratch.by_id(&base).await, scratch.by_id(&staged).await);
    let moved = answer.is_ok()
        && accepted(&old, |version| version.has(PREVIOUS))
        && accepted(&new, |version| version.has(CURRENT));
    findings.add(
        "AWSCURRENT moves to a version without labels, and AWSPREVIOUS to the one that had it",
        moved,
        format!("{}; from: {}; to: {}", words(&answer), words(&old), words(&new)),
    );
    let _ = scratch.move_current(&base, Some(&staged)).await;
    let answer = scratch.put(&staged, "{\"d\":4}", None).await;
    findings.add(
        "after a rollback, the displaced version keeps its ID: another value is refused",
        rejected(&answer, EXISTS),
        words(&answer),
    );
}

async fn errors(scratch: &Scratch, findings: &mut Findings) {
    let answer = scratch.missing().await;
    let same = rejected(&answer, MISSING) || rejected(&answer, "AccessDeniedException");
    findings.add(
        "reading a missing secret fails with ResourceNotFoundException, or AccessDeniedException if no policy covers its name",
        same,
        words(&answer),
    );
    let answer = scratch.by_id(&scratch.token()).await;
    findings.add(
        "reading an unknown version fails with ResourceNotFoundException",
        rejected(&answer, MISSING),
        words(&answer),
    );
    let answer = scratch.labelled("KSM_UNKNOWN").await;
    findings.add(
        "reading an unknown label fails with ResourceNotFoundException",
        rejected(&answer, MISSING),
        words(&answer),
    );
}

async fn limits(scratch: &Scratch, findings: &mut Findings) {
    let is_invalid =
        |answer: &Answer| ["ValidationException", INVALID, MARKED].iter().any(|code| rejected(answer, code));
    let answer = scratch.put(&scratch.token(), &"x".repeat(MAX_VALUE), None).await;
    findings.add("a value of 65,536 bytes is accepted", answer.is_ok(), words(&answer));
    let answer = scratch.put(&scratch.token(), &"x".repeat(MAX_VALUE + 1), None).await;
    findings.add("one byte more is refused", is_invalid(&answer), words(&answer));
    let token = scratch.token();
    let (short, long) = (&token[..31], format!("{token}{}", "x".repeat(65 - token.len())));
    let (short, long) = (scratch.put(short, "{}", None).await, scratch.put(&long, "{}", None).await);
    findings.add(
        "a token of 31 or 65 characters is refused",
        is_invalid(&short) && is_invalid(&long),
        format!("31: {}; 65: {}", words(&short), words(&long)),
    );
    let labels = (0..20).map(|number| format!("KSM_LABEL_{number}")).collect();
    let answer = scratch.put_labelled(&scratch.token(), "{}", Some(labels)).await;
    findings.add(
        "more than 20 labels over all versions are refused",
        rejected(&answer, "LimitExceededException") || is_invalid(&answer),
        words(&answer),
    );
}

/// Concurrent writers of one token, only one of which may win.
async fn race(scratch: &Scratch, findings: &mut Findings) {
    let token = scratch.token();
    let values: Vec<_> = (0..WRITERS).map(|number| format!("{{\"writer\":{number}}}")).collect();
    let answers = join_all(values.iter().map(|value| scratch.put(&token, value, None))).await;
    let winners = answers.iter().filter(|answer| answer.is_ok()).count();
    let losers = answers.iter().filter(|answer| rejected(answer, EXISTS)).count();
    findings.add(
        "of concurrent writers of one token, one wins and the others are refused",
        winners == 1 && losers == WRITERS - 1,
        format!("{winners} of {WRITERS} were accepted, {losers} refused as existing"),
    );
}

/// Reads may be stale; their frequency is reported.
async fn freshness(scratch: &Scratch, findings: &mut Findings) {
    let (mut by_label, mut by_id, mut missing) = (0, 0, 0);
    for number in 0..READS {
        let token = scratch.token();
        let _ = scratch.put(&token, &format!("{{\"read\":{number}}}"), None).await;
        let (label, id) = (scratch.labelled(CURRENT).await, scratch.by_id(&token).await);
        by_label += usize::from(!accepted(&label, |version| version.id == token));
        by_id += usize::from(accepted(&id, |version| !version.has(CURRENT)));
        missing += usize::from(id.is_err());
    }
    findings.add(
        "a read of AWSCURRENT right after a put may be stale",
        true,
        format!("{by_label} of {READS} were"),
    );
    findings.add(
        "a read by ID right after a put finds the version, with its labels",
        by_id == 0 && missing == 0,
        format!("{missing} of {READS} found none, {by_id} had other labels"),
    );
}

async fn replicas(scratch: &Scratch, findings: &mut Findings) {
    let assumption = "a version has the same ID in a replica";
    if scratch.replicas.is_empty() {
        let because = "the secret has no replica: aws secretsmanager replicate-secret-to-regions makes one";
        return findings.not_checked(assumption, because);
    }
    let token = scratch.token();
    let _ = scratch.put(&token, "{\"replicated\":1}", None).await;
    for region in &scratch.replicas {
        let since = Instant::now();
        let mut there = scratch.replica(region).await;
        while !accepted(&there, |version| version.id == token) && since.elapsed() < REPLICATION {
            tokio::time::sleep(PAUSE).await;
            there = scratch.replica(region).await;
        }
        let same = accepted(&there, |version| version.id == token);
        let waited = since.elapsed().as_secs_f32();
        let found = if same { "it has" } else { "it has not" };
        findings.add(assumption, same, format!("{region}: {found}, after {waited:.1} s; {}", words(&there)));
    }
}

/// Marks the secret for deletion for a moment.
async fn deletion(scratch: &Scratch, findings: &mut Findings) {
    let assumption = "reads and writes of a secret marked for deletion fail with InvalidRequestException";
    if !scratch.replicas.is_empty() {
        return findings.not_checked(assumption, "a secret with replicas cannot be deleted");
    }
    let deleted = done(scratch.delete().await);
    if deleted.is_err() {
        return findings.not_checked(assumption, &format!("it could not be marked: {}", words(&deleted)));
    }
    let (read, written) = (scratch.labelled(CURRENT).await, scratch.put(&scratch.token(), "{}", None).await);
    let restored = done(scratch.restore().await);
    findings.add(
        assumption,
        rejected(&read, MARKED) && rejected(&written, MARKED),
        format!("read: {}; written: {}", words(&read), words(&written)),
    );
    findings.add("RestoreSecret cancels the deletion", restored.is_ok(), words(&restored));
}
