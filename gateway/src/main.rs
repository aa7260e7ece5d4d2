//! `vestibule`: see [`vestibule::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    vestibule::cli::run()
}
