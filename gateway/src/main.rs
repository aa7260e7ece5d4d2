//! `vestibule`: see [`vestibule::cli`].

use std::process::ExitCode;

/// Calls are made of small, short-lived allocations that one thread makes and another frees, which is the case
/// that the C library's allocator is slowest at (decision 0006).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vestibule::cli::run()
}
