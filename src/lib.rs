#![doc = include_str!("../README.md")]

pub use ksm_storage_core::*;

#[cfg(feature = "aws-minimal")]
pub use ksm_storage_aws as aws;
#[cfg(feature = "file")]
pub use ksm_storage_file as file;
#[cfg(feature = "memory")]
pub use ksm_storage_memory as memory;
#[cfg(feature = "sdk")]
pub use ksm_storage_sdk as keeper;

/// Compiles the code in the pages of `docs/`.
#[cfg(all(doctest, feature = "sdk"))]
#[doc = include_str!("../docs/keeper-sdk.md")]
struct KeeperSdkPage;
