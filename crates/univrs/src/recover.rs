//! `univrs recover`: makes a cluster of one out of one validator's copy of the state.
//!
//! It is a new cluster with the old state: another id, another authority when the daemon next starts, one member. The
//! members of the old one can neither reach it nor be reached, so that two histories never mix. The old copy is kept
//! beside the new one.

use std::io::Write;
use std::path::Path;

use univrs_cli::RecoverArgs;
use univrs_control::ClusterRecord;
use univrs_model::Timestamp;
use univrs_model::ids::ClusterId;
use univrs_model::keys;
use univrs_model::node::Role;
use univrs_ports::clock::{Clock, SystemClock};
use univrs_ports::store::{
    ClusterAdmin, ClusterStatus, Consistency, Key, MemberId, Op, Page, Prefix, Role as StoreRole, StateStore,
    Txn,
};
use univrs_store::{Options, RaftStore};

use crate::failure::Failure;
use crate::identity::{DataDir, Identity};
use crate::up::state::store_id;

/// The only member of what is recovered.
const ALONE: MemberId = MemberId(1);

pub(crate) async fn run(args: RecoverArgs) -> Result<(), Failure> {
    let dir = DataDir::new(args.data_dir());
    let nothing =
        |reason: &str| Failure::NothingToRecover { path: dir.root().to_owned(), reason: reason.to_owned() };
    let held = dir.take()?;
    let identity = dir.read_identity()?.ok_or_else(|| nothing("no node keeps anything there"))?;
    let standing =
        identity.standing.clone().ok_or_else(|| nothing("its node was never part of a cluster"))?;
    if !standing.roles.contains(&Role::Validator) || !univrs_store::exists(&dir.store()) {
        return Err(nothing("its node is no validator with a copy of the state"));
    }
    let copy = open(&dir.store(), &identity, MemberId(standing.member.unwrap_or(1))).await?;
    let status = copy.status().await?;
    let voters = status.members.iter().filter(|member| member.role == StoreRole::Voter).count();
    if voters < 2 {
        return Err(nothing("its node decides alone already"));
    }
    tell(&status, voters);
    if !args.accept_loss {
        return Err(Failure::LossNotAccepted);
    }
    let now = SystemClock.now();
    let snapshot = dir.root().join("recovery.snapshot");
    let failed = |doing: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source: std::io::Error| Failure::File { doing, path, source }
    };
    let mut file = tokio::fs::File::create(&snapshot).await.map_err(failed("write", &snapshot))?;
    copy.snapshot(&mut file).await?;
    file.sync_all().await.map_err(failed("write", &snapshot))?;
    copy.close().await;
    drop(copy);
    let recovered = recovered(identity);
    let fresh = dir.root().join("store-recovered");
    remove(&fresh)?;
    let cluster = Some(store_id(&recovered));
    univrs_store::restore(&snapshot, &fresh, ALONE, recovered.node.to_string(), cluster)?;
    begin_anew(&fresh, &recovered, now).await?;
    // Until here nothing that was has changed.
    let before = dir.store_before(now);
    std::fs::rename(dir.store(), &before).map_err(failed("move", &dir.store()))?;
    std::fs::rename(&fresh, dir.store()).map_err(failed("move", &fresh))?;
    dir.write_identity(&recovered)?;
    for leftover in [dir.trust().certificates, dir.members(), snapshot] {
        remove(&leftover)?;
    }
    drop(held);
    say(&format!(
        "this node is the cluster {} now, alone; start it with `univrs up`\n\
         the old copy is kept in {}\n\
         on other machines: `univrs down`, then join with an empty --data-dir; `univrs node rm` forgets what they were",
        recovered.cluster,
        before.display()
    ));
    Ok(())
}

/// Removes a file or a directory, if it is there.
fn remove(path: &Path) -> Result<(), Failure> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::File { doing: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

async fn open(dir: &Path, identity: &Identity, member: MemberId) -> Result<RaftStore, Failure> {
    // Without a way to others: nothing is decided while it is open.
    let options = Options { cluster_id: Some(store_id(identity)), ..Options::new(dir, member) };
    Ok(RaftStore::open(options).await?)
}

/// The same node, as the founder of a cluster of its own.
fn recovered(identity: Identity) -> Identity {
    let mut next = Identity { cluster: ClusterId::from_bits(rand::random()), ..identity };
    if let Some(standing) = &mut next.standing {
        standing.member = Some(ALONE.0);
        standing.joined = false;
    }
    next
}

/// Forgets who the members were and what let them in; the rest of the state stays as it was.
async fn begin_anew(dir: &Path, identity: &Identity, now: Timestamp) -> Result<(), Failure> {
    let store = open(dir, identity, ALONE).await?;
    let own = keys::validator_key(&identity.node);
    let mut ops = vec![Op::Delete(Key::new(keys::AUTHORITY)?), Op::Delete(Key::new(keys::MEMBERSHIP)?)];
    ops.push(Op::DeletePrefix(Prefix::new(keys::MEMBERS)));
    ops.push(Op::DeletePrefix(Prefix::new(keys::JOIN_TOKENS)));
    let validators = store.range(&Prefix::new(keys::VALIDATOR_KEYS), Page::all(), Consistency::LOCAL).await?;
    let others = validators.items.into_iter().filter(|item| item.key.as_str() != own);
    ops.extend(others.map(|item| Op::Delete(item.key)));
    let record = ClusterRecord { id: identity.cluster.clone(), created_at: now };
    let bytes = serde_json::to_vec(&record)
        .map_err(|error| Failure::DataDir { path: keys::CLUSTER.into(), reason: error.to_string() })?;
    ops.push(Op::Put { key: Key::new(keys::CLUSTER)?, value: bytes.into(), lease: None });
    store.txn(Txn { request: None, guards: Vec::new(), ops }).await?;
    store.close().await;
    Ok(())
}

fn tell(status: &ClusterStatus, voters: usize) {
    let unconfirmed = status.last_log_index.saturating_sub(status.applied_index);
    say(&format!(
        "this copy of the state ends at revision {} (entry {} of the log, term {}); {voters} members voted\n\
         lost will be: every write that was acknowledged after that by the others, \
         and {unconfirmed} entries that this copy has and never saw confirmed\n\
         if a majority of the {voters} voters can still be started, start them instead: nothing is lost then",
        status.revision, status.applied_index, status.term
    ));
}

fn say(text: &str) {
    // Talk goes to standard error; without it the work is the same.
    drop(writeln!(std::io::stderr(), "{text}"));
}
