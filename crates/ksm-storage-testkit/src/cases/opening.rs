use ksm_storage_core::{Error, ErrorKind, Outcome, Payload};

use crate::{
    LoadFault, Probe, SystemUnderTest,
    failure::{Checked, ensure},
    handle::Settings,
};

pub(super) async fn c01_a_store_with_nothing_in_it_loads_as_nothing(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    let stored = store.open().await.load().await?;
    ensure!(stored.payload().is_none(), "it has a payload");
    Ok(())
}

pub(super) async fn c01_what_is_stored_is_loaded_byte_for_byte(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    for text in ["{}", "not a document", "{\n\t\"a\" : 1.50 }\n", "eyJhIjoxfQ=="] {
        store.write(Some(text.into())).await;
        let loaded = store.open().await.load().await?;
        ensure!(loaded.payload() == Some(&Payload::from(text)), "{text:?} was loaded as something else");
    }
    Ok(())
}

pub(super) async fn c12_a_load_creates_nothing(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    let _ = store.open().await.load().await;
    ensure!(store.read().await.is_none(), "something is stored after a load");
    Ok(())
}

pub(super) async fn c01_opening_loads_once(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench("{}").await?;
    ensure!(bench.probe.calls() == (1, 0), "it made {:?} loads and stores", bench.probe.calls());
    Ok(())
}

pub(super) async fn c01_a_store_with_nothing_in_it_is_not_found(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    match sut.core.open(store.open().await, Settings::default()).await {
        Ok(_) => Err("it was opened".into()),
        Err(error) => {
            ensure!(error.kind() == ErrorKind::NotFound, "it fails as {:?}", error.kind());
            ensure!(error.location().is_some(), "the error names no location");
            Ok(())
        }
    }
}

pub(super) async fn c01_an_empty_object_is_an_empty_document(sut: SystemUnderTest) -> Checked {
    let bench = sut.bench("{}").await?;
    ensure!(bench.handle.snapshot().is_empty(), "the document has keys");
    Ok(())
}

pub(super) async fn c01_what_is_no_document_is_refused_unquoted(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    for text in
        ["s3cret", "[\"s3cret\"]", "\"s3cret\"", "{\"url\": \"s3cret\"", "{\"url\": s3cret}", "   ", "null"]
    {
        store.write(Some(text.into())).await;
        let Err(error) = sut.core.open(store.open().await, Settings::default()).await else {
            return Err(format!("{text:?} was opened").into());
        };
        ensure!(error.kind() == ErrorKind::InvalidConfig, "{text:?} fails as {:?}", error.kind());
        ensure!(!format!("{error} {error:?}").contains("s3cret"), "{text:?} is quoted");
    }
    store.write(Some(Payload::from(vec![b'{', 0xff, b'}']))).await;
    let error = sut.core.open(store.open().await, Settings::default()).await.err();
    ensure!(
        error.is_some_and(|error| error.kind() == ErrorKind::InvalidConfig),
        "a document that is not UTF-8 was not refused"
    );
    Ok(())
}

pub(super) async fn c01_a_failed_load_stays_an_error(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some("{}".into())).await;
    for kind in [ErrorKind::AccessDenied, ErrorKind::Unavailable, ErrorKind::NotFound] {
        let probe = Probe::new(store.open().await);
        probe.fail_loads([LoadFault::Fail(Error::new(kind, "on demand"))]);
        match sut.core.open(std::sync::Arc::new(probe), Settings::default()).await {
            Ok(_) => return Err(format!("it was opened in spite of {kind:?}").into()),
            Err(error) => {
                ensure!(error.kind() == kind, "{kind:?} became {:?}", error.kind());
                ensure!(error.outcome() == Outcome::NotApplied, "a read claims to have written");
            }
        }
    }
    Ok(())
}

pub(super) async fn c12_opening_creates_nothing(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    let _ = sut.core.open(store.open().await, Settings::default()).await;
    ensure!(store.read().await.is_none(), "something is stored after an open");
    Ok(())
}

pub(super) async fn c12_open_or_create_creates_once(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    let (one, other) = (store.open().await, store.open().await);
    let (one, other) = tokio::join!(
        sut.core.open_or_create(one, Settings::default()),
        sut.core.open_or_create(other, Settings::default()),
    );
    let (one, other) = (one?, other?);
    ensure!(one.snapshot().is_empty() && other.snapshot().is_empty(), "the document created is not empty");
    ensure!(store.read().await == Some("{}".into()), "the stored document is not `{{}}`");
    one.set(ksm_storage_core::ConfigKey::Url, "kept").await?;
    let again = sut.core.open_or_create(store.open().await, Settings::default()).await?;
    ensure!(again.get(ksm_storage_core::ConfigKey::Url).is_some(), "the existing document is gone");
    Ok(())
}
