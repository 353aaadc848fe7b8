//! `univrs backup inspect` and `restore`: a copy of the whole state is read, and begins a cluster of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use univrs_cli::{InspectArgs, RestoreArgs};
use univrs_control::ClusterRecord;
use univrs_model::Timestamp;
use univrs_model::ids::{ClusterId, NodeId};
use univrs_model::keys;
use univrs_model::member::{Member, Membership};
use univrs_model::node::Role;
use univrs_model::secret::ValidatorKey;
use univrs_ports::clock::{Clock, SystemClock};
use univrs_ports::seal::Sealer as _;
use univrs_ports::store::{Key, Machine, Page, Prefix};
use univrs_seal::{ValidatorSealer, key_file};

use crate::failure::Failure;
use crate::identity::{DataDir, Identity, Standing};
use crate::recover::{ALONE, begin_anew};
use crate::up::state::store_id;

/// What is in a backup.
#[derive(Debug, Serialize)]
struct Contents {
    /// The cluster that it is of.
    cluster: ClusterId,
    /// When that cluster began.
    cluster_created_at: Timestamp,
    /// The newest change in it.
    revision: u64,
    /// When the newest audit entry or event was written: about when the backup was made.
    as_of: Option<Timestamp>,
    feature_level: u32,
    keys: usize,
    /// How many objects there are of each kind, organisations taken together.
    objects: BTreeMap<String, usize>,
    /// Validators, any one of whose `secrets.key` opens the secrets.
    opened_by: Vec<Opener>,
}

#[derive(Debug, Serialize)]
struct Opener {
    node: NodeId,
    name: Option<String>,
}

/// Checks a backup and says what is in it.
pub(crate) fn inspect(args: &InspectArgs) -> Result<(), Failure> {
    let contents = contents(&args.file, &univrs_store::read_snapshot(&args.file)?)?;
    let text = if args.json {
        serde_json::to_string_pretty(&contents).map_err(|error| damaged(&args.file, &error))?
    } else {
        describe(&contents)
    };
    // Without a reader there is nobody to tell.
    drop(writeln!(std::io::stdout(), "{text}"));
    Ok(())
}

fn damaged(file: &Path, error: &serde_json::Error) -> Failure {
    Failure::DataDir { path: file.to_owned(), reason: error.to_string() }
}

/// The object at a key.
fn object<T: DeserializeOwned>(file: &Path, state: &Machine, key: &str) -> Result<Option<T>, Failure> {
    let found = state.get(&Key::new(key)?);
    found
        .map(|stored| serde_json::from_slice(&stored.value))
        .transpose()
        .map_err(|error| damaged(file, &error))
}

/// All objects below a prefix, by the rest of their key.
fn objects<T: DeserializeOwned>(
    file: &Path,
    state: &Machine,
    prefix: &str,
) -> Result<Vec<(String, T)>, Failure> {
    let items = state.range(&Prefix::new(prefix), &Page::all()).items;
    let read = |item: univrs_ports::store::KeyValue| {
        let rest = item.key.as_str().strip_prefix(prefix).unwrap_or_default().to_owned();
        Ok((rest, serde_json::from_slice(&item.value.value).map_err(|error| damaged(file, &error))?))
    };
    items.into_iter().map(read).collect()
}

fn contents(file: &Path, state: &Machine) -> Result<Contents, Failure> {
    let record: ClusterRecord = object(file, state, keys::CLUSTER)?.ok_or_else(|| Failure::DataDir {
        path: file.to_owned(),
        reason: "it has no cluster in it".to_owned(),
    })?;
    let mut kinds = BTreeMap::new();
    let mut as_of = None;
    for item in state.range(&Prefix::new(""), &Page::all()).items {
        let Some((kind, rest)) = kind_of(item.key.as_str()) else { continue };
        if matches!(kind, "audit" | "event" | "cluster-audit" | "cluster-event") {
            as_of = as_of.max(time_of(rest));
        }
        *kinds.entry(kind.to_owned()).or_insert(0) += 1;
    }
    let names: BTreeMap<String, Member> = objects(file, state, keys::MEMBERS)?.into_iter().collect();
    let openers = objects::<ValidatorKey>(file, state, keys::VALIDATOR_KEYS)?;
    let opened_by = openers.into_iter().filter_map(|(node, _)| {
        let name = names.get(&node).map(|member| member.name.to_string());
        Some(Opener { node: node.parse().ok()?, name })
    });
    Ok(Contents {
        cluster: record.id,
        cluster_created_at: record.created_at,
        revision: state.revision().0,
        as_of,
        feature_level: state.feature_level(),
        keys: state.len(),
        objects: kinds,
        opened_by: opened_by.collect(),
    })
}

/// The kind of object that lies at a key, and what follows it.
fn kind_of(key: &str) -> Option<(&str, &str)> {
    match key.strip_prefix(keys::ORGS) {
        Some(rest) => rest.split_once('/')?.1.split_once('/'),
        None => Some(key.split_once('/').unwrap_or((key, ""))),
    }
}

/// The time in the key of an entry of the history.
fn time_of(rest: &str) -> Option<Timestamp> {
    let digits = rest.split('-').next()?;
    Timestamp::from_microsecond(digits.parse().ok()?).ok()
}

fn describe(contents: &Contents) -> String {
    let mut text = format!(
        "cluster        {}, begun {}\nrevision       {}\nas of          {}\nfeature level  {}\nkeys           {}",
        contents.cluster,
        contents.cluster_created_at,
        contents.revision,
        contents.as_of.map_or_else(|| "unknown".to_owned(), |at| at.to_string()),
        contents.feature_level,
        contents.keys,
    );
    let openers: Vec<String> = contents
        .opened_by
        .iter()
        .map(|opener| {
            opener
                .name
                .as_ref()
                .map_or_else(|| opener.node.to_string(), |name| format!("{name} ({})", opener.node))
        })
        .collect();
    // Writing to a string cannot fail.
    let _ = write!(text, "\nsecrets        opened by the `secrets.key` of {}", openers.join(", "));
    for (kind, count) in &contents.objects {
        let _ = write!(text, "\n{kind:<14} {count}");
    }
    text
}

/// Begins a cluster of one from a backup.
pub(crate) async fn restore(args: RestoreArgs) -> Result<(), Failure> {
    let dir = DataDir::new(args.data_dir());
    let refused =
        |reason: &str| Failure::NoPlaceToRestore { path: dir.root().to_owned(), reason: reason.to_owned() };
    // Everything is checked before anything is made.
    let file = args.file.as_path();
    let state = univrs_store::read_snapshot(file)?;
    let found = contents(file, &state)?;
    let held = dir.take()?;
    if univrs_store::exists(&dir.store()) || dir.read_identity()?.is_some() {
        return Err(refused("a node keeps its state there"));
    }
    let owner = owner(&args, &dir, file, &state)?;
    let sealed = found.objects.get("secret").copied().unwrap_or(0);
    if owner.is_none() && sealed > 0 && !args.without_secrets {
        return Err(Failure::SecretsStaySealed { secrets: sealed });
    }
    let now = SystemClock.now();
    let identity = identity(file, &state, owner.as_ref(), now)?;
    if owner.is_some() && dir.run_dir(&identity.node).exists() {
        return Err(refused(
            "the node whose `secrets.key` this is has containers on this machine: `univrs down` removes them",
        ));
    }
    if let (Some(_), Some(key)) = (&owner, &args.secrets_key)
        && *key != dir.secrets_key()
    {
        copy_key(key, &dir.secrets_key())?;
    }
    let (from, to, node) = (file.to_owned(), dir.store(), identity.node.to_string());
    let cluster = Some(store_id(&identity));
    let made =
        tokio::task::spawn_blocking(move || univrs_store::restore(&from, &to, ALONE, node, cluster)).await;
    made.map_err(|error| Failure::Tokio(std::io::Error::other(error)))??;
    begin_anew(&dir.store(), &identity, now).await?;
    // With its identity the directory is a node's; until here it is begun anew after being emptied.
    dir.write_identity(&identity)?;
    drop(held);
    crate::recover::say(&format!(
        "{} holds the cluster {} now, with the state of revision {} of {}; start it with `univrs up --data-dir {}`\n\
         its {}; other machines join with an empty --data-dir, and `univrs node rm` forgets what they were",
        dir.root().display(),
        identity.cluster,
        found.revision,
        found.cluster,
        dir.root().display(),
        match (&owner, sealed) {
            (Some(_), _) => "secrets open".to_owned(),
            (None, 0) => "state has no secrets".to_owned(),
            (None, count) => format!("{count} secrets stay sealed: set them anew"),
        },
    ));
    Ok(())
}

/// The validator whose key was given, if one was.
fn owner(args: &RestoreArgs, dir: &DataDir, file: &Path, state: &Machine) -> Result<Option<NodeId>, Failure> {
    let path = args.secrets_key.clone().unwrap_or_else(|| dir.secrets_key());
    let fail = |reason: String| Failure::SecretsKey { path: path.clone(), reason };
    let private = match key_file::read(&path).map_err(|error| fail(error.to_string()))? {
        Some(private) => private,
        None if args.secrets_key.is_some() => return Err(fail("it is not there".to_owned())),
        None => return Ok(None),
    };
    for (node, known) in objects::<ValidatorKey>(file, state, keys::VALIDATOR_KEYS)? {
        let Ok(node) = node.parse::<NodeId>() else { continue };
        let sealer = ValidatorSealer::new(node.clone(), &private).map_err(|error| fail(error.to_string()))?;
        if sealer.public_key() == known {
            return Ok(Some(node));
        }
    }
    Err(fail("it is of no validator of the cluster that was backed up".to_owned()))
}

/// Who the new node is: the validator whose key it has, or nobody who was there before.
fn identity(
    file: &Path,
    state: &Machine,
    owner: Option<&NodeId>,
    now: Timestamp,
) -> Result<Identity, Failure> {
    let member: Option<Member> = match owner {
        Some(node) => object(file, state, &keys::member(node))?,
        None => None,
    };
    let range =
        object::<Membership>(file, state, keys::MEMBERSHIP)?.map(|membership| membership.cluster_cidr);
    let standing = member.zip(range).map(|(member, cluster_cidr)| Standing {
        name: member.name,
        member: Some(ALONE.0),
        // It decides alone, and has to run what the others ran.
        roles: Role::ALL.to_vec(),
        cluster_cidr,
        joined: false,
    });
    Ok(Identity {
        node: owner.cloned().unwrap_or_else(|| NodeId::from_bits(rand::random())),
        founded: true,
        standing,
        ..Identity::fresh(now)
    })
}

/// Copies a key so that only its owner reads the copy.
fn copy_key(from: &Path, to: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let bytes = std::fs::read(from).map_err(|source| Failure::File {
        doing: "read",
        path: from.to_owned(),
        source,
    })?;
    let failed = |source| Failure::File { doing: "write", path: to.to_owned(), source };
    let mut options = std::fs::File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)
}
