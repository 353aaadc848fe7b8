//! Checks the price lists in `data/` and writes them as one compact book; a bad row ends the build with its line.
#![allow(clippy::print_stdout, reason = "cargo reads a build script's standard output")]
#![allow(
    clippy::disallowed_methods,
    reason = "a build script reads files and the environment; the core does not"
)]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "the library uses what the build does not")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[path = "src/table/mod.rs"]
mod table;

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let variable = |name: &str| std::env::var(name).map_err(|error| format!("{name} is not set: {error}"));
    let data = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../../../data");
    let read = |name: &str| -> Result<String, String> {
        let path = data.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    println!("cargo::rerun-if-changed=src/table");
    let prices = read("prices.csv")?;
    let dates = read("dates.csv")?;
    let irregular = read("irregular.csv")?;
    let services = read("services.csv")?;
    let allowances = read("allowances.csv")?;
    let regions = read("regions.csv")?;
    let round_trips = read("rtt.csv")?;
    let sources = table::Sources {
        prices: &prices,
        dates: &dates,
        irregular: &irregular,
        services: &services,
        allowances: &allowances,
        regions: &regions,
        round_trips: &round_trips,
    };
    let tables = table::compile(&sources).map_err(|faults| {
        faults.iter().map(|fault| format!("data/{fault}")).collect::<Vec<_>>().join("\n")
    })?;
    let bytes = postcard::to_stdvec(&tables).map_err(|error| format!("cannot encode the book: {error}"))?;
    let out = Path::new(&variable("OUT_DIR")?).join("book.bin");
    std::fs::write(&out, bytes).map_err(|error| format!("cannot write {}: {error}", out.display()))
}
