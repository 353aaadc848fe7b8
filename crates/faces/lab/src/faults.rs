//! What is done to a lab: power cuts, pauses, cut lines, and the mending of all of these.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::error::LabError;
use crate::layout::Seat;
use crate::processes::{self, Life, life};
use crate::state::{self, Fate, Lab};
use crate::{keep, namespace, nodes, wires};

/// How long a node may take to come back.
const PATIENCE: Duration = Duration::from_secs(150);

/// Which nodes are meant.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// By name.
    pub nodes: Vec<String>,
    /// All of these regions.
    pub regions: Vec<String>,
    /// All of these clouds.
    pub clouds: Vec<String>,
}

impl Selection {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.regions.is_empty() && self.clouds.is_empty()
    }

    fn names(&self, lab: &Lab) -> Result<BTreeSet<String>, LabError> {
        let sides = [("--node", &self.nodes), ("--region", &self.regions), ("--cloud", &self.clouds)];
        let mut names = BTreeSet::new();
        for (flag, sides) in sides {
            for side in sides {
                names.extend(lab.layout.side(flag, side)?);
            }
        }
        Ok(names)
    }

    fn seats(&self, lab: &Lab) -> Result<Vec<Seat>, LabError> {
        let names = self.names(lab)?;
        Ok(lab.layout.seats.iter().filter(|seat| names.contains(&seat.name)).cloned().collect())
    }
}

/// Cuts the power of nodes: daemon and containers are gone at once, and nothing is said to anyone.
///
/// # Errors
/// When there is no such lab or node.
pub fn kill(dir: &Path, selection: &Selection) -> Result<Vec<String>, LabError> {
    change(dir, selection, |lab, seats| {
        for seat in seats {
            // Unplugged first: the kernel of a dead machine closes no connections.
            wires::plug(lab, seat, false)?;
        }
        for seat in seats {
            if let Some(inode) = namespace::inode(&lab.namespace(&seat.name)) {
                processes::end(inode)?;
            }
            lab.pids.remove(&seat.name);
            lab.fates.insert(seat.name.clone(), Fate::Killed);
        }
        Ok(())
    })
}

/// Stops nodes with their containers, as when a machine is suspended.
///
/// # Errors
/// When there is no such lab or node.
pub fn pause(dir: &Path, selection: &Selection) -> Result<Vec<String>, LabError> {
    change(dir, selection, |lab, seats| {
        for seat in seats.iter().filter(|seat| lab.fate(&seat.name) != Fate::Killed).collect::<Vec<_>>() {
            if let Some(inode) = namespace::inode(&lab.namespace(&seat.name)) {
                processes::pause(inode);
            }
            lab.fates.insert(seat.name.clone(), Fate::Paused);
        }
        Ok(())
    })
}

/// Cuts the line between two sides; with `one_way` only from the first to the second.
/// Without a second side, the first is cut off from all others.
///
/// # Errors
/// When a side means nothing here, or the two share a node.
pub fn partition(dir: &Path, from: &str, to: Option<&str>, one_way: bool) -> Result<usize, LabError> {
    let _held = state::hold(dir)?;
    let mut lab = Lab::load(dir)?;
    let a = lab.layout.side("A", from)?;
    let b = match to {
        Some(to) => lab.layout.side("B", to)?,
        None => {
            let names = lab.layout.seats.iter().map(|seat| seat.name.clone());
            names.filter(|name| !a.contains(name)).collect()
        }
    };
    if let Some(both) = a.iter().find(|name| b.contains(name)) {
        let hint = "name two sides that have no node in common";
        return Err(LabError::bad("B", format!("node {both} is on both sides"), hint));
    }
    let before = lab.cuts.len();
    for a in &a {
        for b in &b {
            lab.cuts.insert((a.clone(), b.clone()));
            if !one_way {
                lab.cuts.insert((b.clone(), a.clone()));
            }
        }
    }
    wires::cut(&lab)?;
    lab.save()?;
    Ok(lab.cuts.len() - before)
}

/// Brings nodes back, all when none is named: lines are mended, paused nodes go on, killed ones start again. Waits
/// until they are ready, those aside that are still cut off.
///
/// # Errors
/// When there is no such lab or node, or one does not come back.
pub fn heal(dir: &Path, selection: &Selection) -> Result<Vec<String>, LabError> {
    let _held = state::hold(dir)?;
    let mut lab = Lab::load(dir)?;
    let seats = if selection.is_empty() { lab.layout.seats.clone() } else { selection.seats(&lab)? };
    let meant = |name: &String| seats.iter().any(|seat| seat.name == *name);
    let cuts = lab.cuts.len();
    lab.cuts.retain(|(from, to)| !meant(from) && !meant(to));
    if lab.cuts.len() != cuts {
        wires::cut(&lab)?;
    }
    if lab.keeper.is_none_or(|keeper| life(keeper) == Life::Gone) {
        keep::start(&mut lab)?;
    }
    let mut back = Vec::new();
    for seat in &seats {
        wires::plug(&lab, seat, true)?;
        if lab.fate(&seat.name) == Fate::Paused
            && let Some(inode) = namespace::inode(&lab.namespace(&seat.name))
        {
            processes::resume(inode);
            back.push(seat.name.clone());
        }
        if lab.pids.get(&seat.name).is_none_or(|pid| life(*pid) == Life::Gone) {
            let pid = nodes::start(&lab, seat)?;
            lab.pids.insert(seat.name.clone(), pid);
            back.push(seat.name.clone());
        }
        lab.fates.insert(seat.name.clone(), Fate::Running);
    }
    lab.save()?;
    let cut_off = |name: &String| lab.cuts.iter().any(|(from, to)| from == name || to == name);
    for name in back.iter().filter(|name| !cut_off(name)) {
        nodes::until_ready(&lab, name, PATIENCE)?;
    }
    Ok(back)
}

/// Does something to the selected nodes and writes it down.
fn change(
    dir: &Path,
    selection: &Selection,
    work: impl FnOnce(&mut Lab, &[Seat]) -> Result<(), LabError>,
) -> Result<Vec<String>, LabError> {
    if selection.is_empty() {
        let hint = "give --node N, --region R or --cloud C";
        return Err(LabError::bad("--node", "it is not said which nodes", hint));
    }
    let _held = state::hold(dir)?;
    let mut lab = Lab::load(dir)?;
    let seats = selection.seats(&lab)?;
    let done = work(&mut lab, &seats);
    // What was done until it failed is written down too.
    lab.save()?;
    done.map(|()| seats.into_iter().map(|seat| seat.name).collect())
}
