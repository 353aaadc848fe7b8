//! Checks that no ready-made tool makes, run by `make check`:
//!
//! - `layers`: crates depend only downwards, and cores stay free of I/O, clocks and randomness;
//! - `tidy`: files open with what they are for and stay short; no words that belong nowhere;
//! - `errors`: `docs/errors` has a page for each code of the topology compiler; `write-errors` writes them.

mod errors;
mod layers;
mod tidy;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&str> = if wanted.is_empty() {
        vec!["layers", "tidy", "errors"]
    } else {
        wanted.iter().map(String::as_str).collect()
    };
    let mut failed = false;
    for name in names {
        let faults = match name {
            "layers" => layers::check(),
            "tidy" => tidy::check(),
            "errors" => errors::check(),
            "write-errors" => errors::write(),
            _ => vec![format!(
                "unknown check `{name}`; there are `layers`, `tidy`, `errors` and `write-errors`"
            )],
        };
        let mut out = std::io::stdout().lock();
        for fault in &faults {
            drop(writeln!(out, "{name}: {fault}"));
        }
        drop(writeln!(out, "{name}: {}", if faults.is_empty() { "ok" } else { "FAILED" }));
        failed |= !faults.is_empty();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
