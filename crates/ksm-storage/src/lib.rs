#![cfg_attr(docsrs, feature(doc_cfg))]
// The README covers all features, so its code is only compiled with all. The first definition of a link label wins:
// within this documentation labels lead to items, and elsewhere to files.
#![cfg_attr(
    all(feature = "aws", feature = "file", feature = "memory", feature = "keeper"),
    doc = include_str!("links.md"),
    doc = include_str!("map.md"),
    doc = include_str!("../README.md")
)]
#![cfg_attr(
    not(all(feature = "aws", feature = "file", feature = "memory", feature = "keeper")),
    doc = "Keeper Secrets Manager configurations in pluggable storage; with all features this documentation has the README."
)]

// Inlined, so that the search finds all items here.
#[doc(inline)]
pub use ksm_storage_core::*;

pub mod blocking;
mod url;

#[cfg(feature = "aws-minimal")]
#[doc(inline)]
pub use ksm_storage_aws as aws;
#[cfg(feature = "file")]
#[doc(inline)]
pub use ksm_storage_file as file;
#[cfg(feature = "keeper")]
#[doc(inline)]
pub use ksm_storage_keeper as keeper;
#[cfg(feature = "memory")]
#[doc(inline)]
pub use ksm_storage_memory as memory;
pub use url::{EnvBackend, Parameters, Schemes, StorageUrl, open, open_from_env};

/// Guides that go beyond the README. This module contains only documentation.
#[cfg(all(doc, feature = "aws", feature = "file", feature = "memory", feature = "keeper"))]
pub mod guide {
    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/aws.md")]
    pub mod aws {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/cli.md")]
    pub mod cli {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/conformance.md")]
    pub mod conformance {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/contract.md")]
    pub mod contract {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../CONTRIBUTING.md")]
    pub mod contributing {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/fleet.md")]
    pub mod fleet {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/keeper.md")]
    pub mod keeper {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/migrating.md")]
    pub mod migrating {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/operations.md")]
    pub mod operations {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/performance.md")]
    pub mod performance {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/python.md")]
    pub mod python {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/reference.md")]
    pub mod reference {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../SECURITY.md")]
    pub mod security {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/specification.md")]
    pub mod specification {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/testing.md")]
    pub mod testing {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/threat-model.md")]
    pub mod threat_model {}

    #[doc = include_str!("links.md")]
    #[doc = include_str!("../docs/zeroize.md")]
    pub mod zeroize {}
}
