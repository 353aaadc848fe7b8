//! Getting along with Docker's packet rules on machines that have both.
//!
//! Docker makes the machine drop forwarded packets that are not its own: instances would not reach the outside, nor
//! other machines their published ports. A packet has to be accepted by every table, so no rule of our table helps. The
//! chain `DOCKER-USER` is where Docker leaves room for others; it is changed with the same program that Docker uses.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use univrs_ports::network::NetworkError;

use crate::links::failed;
use crate::nft::{Nft, legacy_tables};

const CHAIN: &str = "DOCKER-USER";

/// The rules that let a bridge's packets through.
fn rules(bridge: &str) -> [[&str; 4]; 2] {
    [["-i", bridge, "-j", "ACCEPT"], ["-o", bridge, "-j", "ACCEPT"]]
}

/// Lets packets from and to the bridge through, where Docker's chain is there. True when something was missing.
pub(crate) fn open(nft: &Nft, bridge: &str) -> Result<bool, NetworkError> {
    let Some((program, present)) = chain(nft)? else { return Ok(false) };
    let mut changed = false;
    for rule in rules(bridge).iter().filter(|rule| !has(&present, *rule)) {
        change(&program, "-I", rule)?;
        changed = true;
    }
    Ok(changed)
}

/// Takes that back.
pub(crate) fn close(nft: &Nft, bridge: &str) -> Result<(), NetworkError> {
    let Some((program, present)) = chain(nft)? else { return Ok(()) };
    for rule in rules(bridge).iter().filter(|rule| has(&present, *rule)) {
        change(&program, "-D", rule)?;
    }
    Ok(())
}

/// The program and the chain's rules, if there is such a chain.
fn chain(nft: &Nft) -> Result<Option<(PathBuf, String)>, NetworkError> {
    // Without its table there is no chain, and merely asking the program would make the table.
    if !nft.has_filter()? && !legacy_tables() {
        return Ok(None);
    }
    let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"].map(PathBuf::from);
    let Some(program) = folders.iter().map(|folder| folder.join("iptables")).find(|file| file.is_file())
    else {
        return Ok(None);
    };
    let output = Command::new(&program)
        .args(["-w", "-S", CHAIN])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("list the chain {CHAIN}"), error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(output.status.success().then_some((program, text)))
}

fn has(present: &str, rule: &[&str]) -> bool {
    let wanted = format!("-A {CHAIN} {}", rule.join(" "));
    present.lines().any(|line| line.trim() == wanted)
}

fn change(program: &Path, how: &str, rule: &[&str]) -> Result<(), NetworkError> {
    let step = || format!("change the chain {CHAIN}");
    let output = Command::new(program)
        .args(["-w", how, CHAIN])
        .args(rule)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(step(), error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(
        step(),
        String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("it did not say why"),
    ))
}
