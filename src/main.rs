//! The `keyward` program; see [`keyward::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    keyward::cli::main()
}
