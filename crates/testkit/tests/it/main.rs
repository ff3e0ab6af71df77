//! The test kit's own tests: tools that other tests trust have to keep their word.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fault_proxy;
mod throwaway;
