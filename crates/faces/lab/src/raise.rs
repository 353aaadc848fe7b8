//! Raises a lab: wires, the first node, the background process, and all other nodes at once.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::forward::NODE_API;
use crate::layout::{Layout, Seat};
use crate::state::{Lab, directory};
use crate::{keep, namespace, nodes, probe, remove, state, tool, wires};

/// How long one node may take to become ready.
const PATIENCE: Duration = Duration::from_secs(150);
/// What each further node may take besides, since all of them share this machine.
const PATIENCE_PER_NODE: Duration = Duration::from_secs(2);
/// How long a token may take to be made.
const TOKEN: Duration = Duration::from_secs(20);
/// How often the cluster is looked at.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a look may take.
const LOOK: Duration = Duration::from_secs(5);
/// How much of the machine's memory nodes give to containers, in percent; the daemons need some.
const MEMORY_PERCENT: u64 = 80;

/// What lab is wanted.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name.
    pub name: String,
    /// Its directory, where not the usual one.
    pub dir: Option<PathBuf>,
    /// How many nodes.
    pub nodes: usize,
    /// Regions as `cloud:region`.
    pub clouds: Vec<String>,
    /// Nodes behind routers of their own, as [`Layout::hide`] takes them.
    pub hidden: Vec<String>,
    /// Whether regions are as far apart as in the world.
    pub delayed: bool,
    /// What runs containers: `oci` or `simulated`.
    pub runtime: String,
    /// Whether a lab that does not become ready stays, to be looked at.
    pub keep: bool,
}

/// Raises a lab and returns when all of its nodes are ready.
///
/// # Errors
/// When something of it cannot be made; then nothing of it stays, unless it is to be kept.
pub fn raise(options: Options, talk: &mut dyn FnMut(&str)) -> Result<Lab, LabError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    tool::check()?;
    let layout = Layout::of(options.nodes, &options.clouds)?.hide(&options.hidden)?;
    let dir = directory(&options.name, options.dir.as_deref());
    let prefix = state::prefix(&options.name);
    if dir.join("lab.json").exists() || !namespace::all(&prefix).is_empty() {
        return Err(LabError::Exists { dir });
    }
    fs::create_dir_all(&dir).map_err(LabError::file("create", &dir))?;
    let dir = fs::canonicalize(&dir).map_err(LabError::file("look at", &dir))?;
    let _held = state::hold(&dir)?;
    let capacity = share(&dir, options.nodes);
    let mut lab = Lab {
        name: options.name,
        dir,
        runtime: options.runtime,
        delayed: options.delayed && layout.regions.len() > 1,
        layout,
        capacity,
        api_port: None,
        keeper: None,
        pids: Default::default(),
        fates: Default::default(),
        cuts: Default::default(),
        join_token: None,
    };
    lab.save()?;
    match build(&mut lab, talk) {
        Ok(()) => Ok(lab),
        Err(error) if options.keep => Err(error),
        Err(error) => {
            // What went wrong first is what matters; what then cannot be removed is told beside it.
            if let Err(left) = remove::take_down(&lab) {
                talk(&format!("the lab could not be removed: {left}"));
            }
            Err(error)
        }
    }
}

fn build(lab: &mut Lab, talk: &mut dyn FnMut(&str)) -> Result<(), LabError> {
    wires::make(lab)?;
    let seats = lab.layout.seats.clone();
    let patience = PATIENCE + PATIENCE_PER_NODE * u32::try_from(seats.len()).unwrap_or(u32::MAX);
    let Some((first, others)) = seats.split_first() else { return Ok(()) };
    start(lab, first)?;
    keep::start(lab)?;
    lab.save()?;
    nodes::until_ready(lab, &first.name, patience)?;
    talk(&format!("{} is ready and has made the cluster", first.name));
    if others.is_empty() {
        return until_whole(lab, patience);
    }
    lab.join_token = Some(join_token(lab, first, others.len())?);
    for seat in others {
        start(lab, seat)?;
    }
    lab.save()?;
    for seat in others {
        nodes::until_ready(lab, &seat.name, patience)?;
    }
    until_whole(lab, patience)
}

fn start(lab: &mut Lab, seat: &Seat) -> Result<(), LabError> {
    let pid = nodes::start(lab, seat)?;
    lab.pids.insert(seat.name.clone(), pid);
    Ok(())
}

/// A token that lets the other nodes in, made by the first.
fn join_token(lab: &Lab, first: &Seat, uses: usize) -> Result<String, LabError> {
    let (server, uses) = (format!("http://{NODE_API}"), uses.to_string());
    let run = || {
        Command::new("/proc/self/exe")
            .args(["--server", &server, "-o", "name", "join-token", "create"])
            .args(["--role", "validator,business,slim", "--ttl", "1h", "--uses", &uses])
            .output()
    };
    let step = "make a join token";
    let begun = Instant::now();
    loop {
        let output = namespace::inside(&lab.namespace(&first.name), run)?;
        let output = output.map_err(|error| LabError::step(step, error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        // On a machine that stood still even a single node has to find its leader anew.
        if begun.elapsed() > TOKEN {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(LabError::step(step, said.lines().next().unwrap_or("it failed without a word")));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until the cluster knows all nodes as ready and has its voters.
fn until_whole(lab: &Lab, patience: Duration) -> Result<(), LabError> {
    let begun = Instant::now();
    let Some(first) = lab.layout.seats.first() else { return Ok(()) };
    loop {
        let look = || probe::json(NODE_API, "/api/cluster", LOOK);
        let cluster = namespace::inside(&lab.namespace(&first.name), look)?;
        let missing = cluster.as_ref().map_or(Some("the cluster does not answer".to_owned()), |cluster| {
            let ready = cluster["members"]
                .as_array()
                .map_or(0, |members| members.iter().filter(|member| member["state"] == "ready").count());
            let voters = cluster["voters"].as_array().map_or(0, Vec::len);
            let whole = ready >= lab.layout.seats.len() && voters >= lab.layout.voters;
            let wanted = (lab.layout.seats.len(), lab.layout.voters);
            (!whole).then(|| format!("{ready} of {} nodes ready, {voters} of {} voters", wanted.0, wanted.1))
        });
        let Some(said) = missing else { return Ok(()) };
        if begun.elapsed() > patience {
            let seconds = begun.elapsed().as_secs();
            return Err(LabError::NotReady { what: "the cluster".to_owned(), seconds, said });
        }
        std::thread::sleep(PAUSE);
    }
}

/// What each of so many nodes gives of this machine.
fn share(dir: &std::path::Path, nodes: usize) -> String {
    let nodes = u64::try_from(nodes).unwrap_or(u64::MAX).max(1);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cpu = u64::try_from(cores).unwrap_or(1) * 1000 / nodes;
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 =
        line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(1 << 20);
    let memory = kib / 1024 * MEMORY_PERCENT / 100 / nodes;
    let disk = nix::sys::statvfs::statvfs(dir)
        .map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()) >> 20)
        .unwrap_or_default();
    format!("cpu={cpu}m,memory={memory}Mi,disk={}Mi", disk / nodes)
}
