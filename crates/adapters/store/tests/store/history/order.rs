//! Whether revisions tell one history of all keys together: what is done later has a higher one, and a view at a
//! revision has exactly what was written up to it (STORE-1 to STORE-3).

use std::collections::BTreeMap;

use univrs_ports::store::Revision;

use super::clients::{DELETED, History, KEYS};
use super::linear::{Call, Did};

/// What is wrong, in words; empty when nothing is.
pub(crate) fn faults(history: &History) -> Vec<String> {
    let mut faults = history.oddities.clone();
    let writes = writes(history, &mut faults);
    // Everything with a revision of its own moment, by time: a write its own, a view the one it is of.
    let mut moments: Vec<(u64, u64, Revision, bool, String)> = Vec::new();
    for (name, calls) in &history.calls {
        for call in calls {
            if let (Did::Write(Some(number)) | Did::Swap(_, Some(number)), Some(returned), Some(revision)) =
                (call.did, call.returned, call.revision)
            {
                let what = format!("write #{number} of {name} at revision {revision}");
                moments.push((call.invoked, returned, revision, true, what));
            }
        }
    }
    for view in &history.views {
        let what = format!("a view of client {} at revision {}", view.client, view.revision);
        moments.push((view.invoked, view.returned, view.revision, false, what));
    }
    moments.sort_by_key(|moment| moment.1);
    let mut by_start: Vec<usize> = (0..moments.len()).collect();
    by_start.sort_by_key(|at| moments[*at].0);
    let (mut ended, mut newest): (usize, Option<usize>) = (0, None);
    for at in by_start {
        let (invoked, _, revision, is_write, what) = &moments[at];
        while ended < moments.len() && moments[ended].1 < *invoked {
            if newest.is_none_or(|newest| moments[newest].2 < moments[ended].2) {
                newest = Some(ended);
            }
            ended += 1;
        }
        let Some(before) = newest.map(|newest| &moments[newest]) else { continue };
        if *revision < before.2 || (*is_write && *revision == before.2) {
            faults.push(format!("{what} began after {} had ended", before.4));
        }
    }
    for view in &history.views {
        for name in KEYS {
            let known =
                writes.get(name).into_iter().flat_map(|writes| writes.range(..=view.revision)).next_back();
            let seen = view.items.get(name);
            match (known, seen) {
                (_, Some((number, at))) if *at > view.revision => {
                    faults
                        .push(format!("a view of revision {} has #{number} of revision {at}", view.revision));
                }
                (Some((at, number)), Some((_, seen))) if seen < at => faults.push(format!(
                    "a view of revision {} has {name} of revision {seen} and not #{number} of revision {at}",
                    view.revision
                )),
                (Some((at, number)), None) if !DELETED.contains(&name) => faults.push(format!(
                    "a view of revision {} has no {name}, where #{number} was put at revision {at}",
                    view.revision
                )),
                _ => {}
            }
        }
    }
    faults
}

/// The writes by key and revision, as far as anyone knows theirs.
fn writes(history: &History, faults: &mut Vec<String>) -> BTreeMap<String, BTreeMap<Revision, u64>> {
    let mut writes: BTreeMap<String, BTreeMap<Revision, u64>> = BTreeMap::new();
    let mut know = |name: &str, number: u64, revision: Revision, faults: &mut Vec<String>| {
        let known = writes.entry(name.to_owned()).or_default().insert(revision, number);
        if known.is_some_and(|known| known != number) {
            faults.push(format!("{name} was written twice at revision {revision}: #{number} and another"));
        }
    };
    for (name, calls) in &history.calls {
        for Call { did, revision, .. } in calls {
            if let (
                Did::Write(Some(number)) | Did::Swap(_, Some(number)) | Did::Read(Some(number)),
                Some(revision),
            ) = (did, revision)
            {
                know(name, *number, *revision, faults);
            }
        }
    }
    writes
}
