//! The nonce that a write appends to a payload. A load removes exactly that, whoever stored the value.
#![no_main]

use std::sync::Arc;

use ksm_storage_aws::{AwsSecretBackend, Concurrency};
use ksm_storage_core::{ConfigDocument, ErrorKind, Payload, StorageBackend, StoreOutcome, Stored};
use ksm_storage_emulator::{Emulator, Value};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Builder;

const FRAME: usize = 65;

fuzz_target!(|bytes: &[u8]| {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let emulator = Emulator::new("us-east-1");
        emulator.secret("s").overwrite(Value::Binary(Payload::from(bytes.to_vec())));
        let id = "s".parse().expect("a name");
        let backend =
            AwsSecretBackend::new(Arc::new(emulator.clone()), id, "us-east-1", Concurrency::Optimistic);
        let loaded = loaded_as_stored(&backend, bytes).await;
        stored_and_loaded(&backend, &emulator, &loaded, bytes).await;
    });
});

async fn loaded_as_stored(backend: &AwsSecretBackend, bytes: &[u8]) -> Stored {
    let stored = backend.load().await.expect("it is there");
    let payload = stored.payload().expect("it has a value");
    let Some(tail) = bytes.strip_prefix(payload.as_bytes()) else { panic!("a load changed the payload") };
    let is_frame = |tail: &[u8]| {
        tail.len() == FRAME && tail[0] == b'\n' && tail[1..].iter().all(|byte| matches!(byte, b' ' | b'\t'))
    };
    assert!(tail.is_empty() || is_frame(tail), "a load took away more than a frame");
    let left = bytes.len().checked_sub(FRAME).is_some_and(|at| is_frame(&bytes[at..]));
    assert!(!(tail.is_empty() && left), "a load left the frame");
    if bytes.len() <= ConfigDocument::MAX_LEN {
        let [whole, unframed] = [bytes, payload.as_bytes()].map(|bytes| ConfigDocument::parse(bytes).ok());
        assert!(whole == unframed, "the frame means something to the parser");
    }
    stored
}

async fn stored_and_loaded(backend: &AwsSecretBackend, emulator: &Emulator, base: &Stored, bytes: &[u8]) {
    let payload = Payload::from(bytes.to_vec());
    match backend.store(base.version(), &payload).await {
        Ok(StoreOutcome::Committed { version, .. }) => {
            let again = backend.load().await.expect("it was stored");
            assert!(again == Stored::present(version, payload), "a load returns something else");
            let framed = emulator.secret("s").value("AWSCURRENT").expect("it was stored");
            assert!(framed.len() == bytes.len() + FRAME);
        }
        Ok(StoreOutcome::Conflict { .. }) => panic!("there is no other writer"),
        Err(error) => match error.kind() {
            ErrorKind::InvalidArgument => assert!(std::str::from_utf8(bytes).is_err()),
            ErrorKind::TooLarge => assert!(bytes.len() + FRAME > ConfigDocument::MAX_LEN),
            _ => panic!("{error}"),
        },
    }
}
