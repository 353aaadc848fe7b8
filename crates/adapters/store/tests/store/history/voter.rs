//! One voter in a process of its own, so that it can be killed and paused like one.
//!
//! The test starts its own binary again. The process says `@ready <address>` and `@leads <true or false>` on its
//! standard output, and on its standard input hears the members to which its lines are cut: `lines <questions lost>
//! <answers lost>`, as bits. It ends with its standard input, so that it never outlives the test.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use univrs_ports::store::{
    ClusterAdmin, Consistency, Error, Key, LeaseGrant, LeaseId, MemberId, Page, Prefix, RangeOut, Result,
    Revision, Role, SnapshotMeta, StateStore, StoredValue, Txn, TxnOutcome, WatchStream,
};
use univrs_store::wire::{
    Channel, Limits, MemberService, Services, StoreService, TcpDial, WireTransport, serve,
};
use univrs_store::{Options, RaftStore, Transport, TransportError};

use super::faults::Plant;
use crate::cluster::CLUSTER;
use crate::support::shared;

const VOTER: &str = "UNIVRS_STORE_TEST_VOTER";
/// The members of the cluster.
pub(crate) const MEMBERS: u64 = 3;

/// Lines to other members, cut in either direction.
#[derive(Default)]
struct Lines {
    questions_lost: AtomicU64,
    answers_lost: AtomicU64,
}

/// The real transport, with lines that can be cut. What goes into a cut line is waited for in vain.
struct CutTransport {
    wire: WireTransport,
    lines: Arc<Lines>,
}

#[async_trait]
impl Transport for CutTransport {
    async fn call(
        &self,
        to: MemberId,
        address: &str,
        frame: Bytes,
        timeout: Duration,
    ) -> std::result::Result<Bytes, TransportError> {
        let cut = |lines: &AtomicU64| lines.load(Ordering::SeqCst) & (1 << to.0) != 0;
        let lost = || TransportError::Lost {
            to,
            address: address.to_owned(),
            source: std::io::ErrorKind::TimedOut.into(),
        };
        let deadline = tokio::time::Instant::now() + timeout;
        if !cut(&self.lines.questions_lost) {
            let answer = self.wire.call(to, address, frame, timeout).await;
            if !cut(&self.lines.answers_lost) {
                return answer;
            }
        }
        tokio::time::sleep_until(deadline).await;
        Err(lost())
    }
}

/// The planted bug of a store that answers reads from what it happens to have.
struct Stale(RaftStore);

#[async_trait]
impl StateStore for Stale {
    async fn get(&self, key: &Key, _: Consistency) -> Result<Option<StoredValue>> {
        self.0.get(key, Consistency::LOCAL).await
    }

    async fn range(&self, prefix: &Prefix, page: Page, _: Consistency) -> Result<RangeOut> {
        self.0.range(prefix, page, Consistency::LOCAL).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome> {
        self.0.txn(txn).await
    }

    async fn watch(&self, prefix: &Prefix, from: Revision) -> Result<WatchStream> {
        self.0.watch(prefix, from).await
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<LeaseGrant> {
        self.0.lease_grant(ttl).await
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<LeaseGrant> {
        self.0.lease_keep_alive(lease).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        self.0.lease_revoke(lease).await
    }

    async fn snapshot(&self, writer: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<SnapshotMeta> {
        self.0.snapshot(writer).await
    }

    fn revision(&self) -> Revision {
        self.0.revision()
    }
}

/// What a voter is told at its start.
struct Setting {
    id: u64,
    plant: Plant,
    dir: String,
    address: String,
    /// The members to take in, for the one that begins the cluster.
    others: Vec<(u64, String)>,
}

impl Setting {
    fn encode(&self) -> String {
        let others = self.others.iter().map(|(id, address)| format!("|{id}={address}"));
        format!(
            "{}|{}|{}|{}{}",
            self.id,
            self.plant.name(),
            self.dir,
            self.address,
            others.collect::<String>()
        )
    }

    fn decode(text: &str) -> Self {
        let mut words = text.split('|').map(str::to_owned);
        let mut word = || words.next().unwrap();
        let (id, plant) = (word().parse().unwrap(), Plant::named(&word()));
        let (dir, address) = (word(), word());
        let others = words.map(|other| {
            let (id, address) = other.split_once('=').unwrap();
            (id.parse().unwrap(), address.to_owned())
        });
        Self { id, plant, dir, address, others: others.collect() }
    }

    /// Limits so small that a run goes through snapshots as well; with the lost tail only the log may count. One voter
    /// syncs as on a slow disk.
    fn options(&self, lines: &Arc<Lines>) -> Options {
        let wire = WireTransport::new(Arc::new(TcpDial), Some(CLUSTER));
        let (snapshot_bytes, segment_bytes, keep_log_bytes) = match self.plant {
            Plant::LostTail => (64 << 20, 16 << 20, 64 << 20),
            Plant::Nothing | Plant::StaleReads => (16 << 10, 8 << 10, 4 << 10),
        };
        let default = Options::new(&self.dir, MemberId(self.id));
        Options {
            cluster_id: Some(CLUSTER),
            bootstrap: self.id == 1,
            address: self.address.clone(),
            transport: Arc::new(CutTransport { wire, lines: Arc::clone(lines) }),
            heartbeat: Duration::from_millis(60),
            election_timeout: Duration::from_millis(400),
            request_timeout: Duration::from_millis(1500),
            snapshot_bytes,
            segment_bytes,
            keep_log_bytes,
            slow_sync: if self.id == 2 { Duration::ZERO } else { default.slow_sync },
            ..default
        }
    }
}

/// One line in one write, past the capture of test output.
fn say(line: &str) {
    std::io::stdout().write_all(format!("@{line}\n").as_bytes()).unwrap();
}

/// The voter, when this binary was started as one.
#[test]
fn voter() {
    let Ok(setting) = std::env::var(VOTER) else { return };
    let setting = Setting::decode(&setting);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let lines = Arc::new(Lines::default());
        let listener = TcpListener::bind(&setting.address).await.unwrap();
        let mut options = setting.options(&lines);
        options.address = listener.local_addr().unwrap().to_string();
        say(&format!("address {}", options.address));
        let store = RaftStore::open(options).await.unwrap();
        let clients: Arc<dyn StateStore> = match setting.plant {
            Plant::StaleReads => Arc::new(Stale(store.clone())),
            Plant::Nothing | Plant::LostTail => shared(&store),
        };
        let services = Services::new(CLUSTER, MemberId(setting.id), Limits::default())
            .with(Channel::MEMBERS, Arc::new(MemberService::new(store.peer_handler())))
            .with(Channel::STORE, Arc::new(StoreService::new(clients, Some(Arc::new(store.clone())))));
        tokio::spawn(serve(listener, services, CancellationToken::new()));
        let mut leading = store.leading();
        tokio::spawn(async move {
            while leading.changed().await.is_ok() {
                say(&format!("leads {}", *leading.borrow_and_update()));
            }
        });
        if !setting.others.is_empty() {
            take_in(&store, &setting.others).await;
        }
        say("ready");
        let mut input = tokio::io::BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = input.next_line().await {
            let mut words = line.split(' ').skip(1).map(|word| word.parse().unwrap());
            let mut next = || words.next().unwrap();
            lines.questions_lost.store(next(), Ordering::SeqCst);
            lines.answers_lost.store(next(), Ordering::SeqCst);
        }
    });
    // Not cleanly: what matters is on disk already.
    std::process::exit(0);
}

/// Makes all members voters in one change, so that nobody else can lead before it is under way.
async fn take_in(store: &RaftStore, others: &[(u64, String)]) {
    for (id, address) in others {
        store.add_learner(MemberId(*id), address.clone()).await.unwrap();
    }
    let all = || (1..=MEMBERS).map(MemberId).collect();
    while let Err(error) = store.set_voters(all()).await {
        let expected =
            matches!(error, Error::NotCaughtUp { .. } | Error::Membership { .. }) || error.is_retryable();
        assert!(expected, "{error}");
        let members = store.members().await.unwrap();
        if members.iter().filter(|member| member.role == Role::Voter).count() as u64 == MEMBERS {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The handle that the test has on a voter.
pub(crate) struct Voter {
    pub(crate) id: u64,
    plant: Plant,
    dir: tempfile::TempDir,
    pub(crate) address: String,
    child: Child,
    input: ChildStdin,
    leads: Arc<AtomicBool>,
    errors: std::path::PathBuf,
}

impl Voter {
    /// Starts a new voter on an address of its own of the loopback network, so that nobody takes its port while it is
    /// dead. Those that join come first: the one with the number 1 takes in `others`, and is ready when that is done.
    pub(crate) fn start(id: u64, host: &str, plant: Plant, others: &[(u64, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let errors = dir.path().with_extension("stderr");
        let mut setting = Setting {
            id,
            plant,
            dir: dir.path().display().to_string(),
            address: format!("{host}:0"),
            others: others.to_vec(),
        };
        let leads = Arc::new(AtomicBool::new(false));
        let (child, input, address) = spawn(&setting, &leads, &errors);
        setting.address.clone_from(&address);
        Self { id, plant, dir, address, child, input, leads, errors }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn leads(&self) -> bool {
        self.leads.load(Ordering::SeqCst)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.leads.store(false, Ordering::SeqCst);
    }

    /// Starts it again on its data, its lines whole.
    pub(crate) fn restart(&mut self) {
        let setting = Setting {
            id: self.id,
            plant: self.plant,
            dir: self.dir.path().display().to_string(),
            address: self.address.clone(),
            others: Vec::new(),
        };
        (self.child, self.input, _) = spawn(&setting, &self.leads, &self.errors);
    }

    pub(crate) fn cut(&mut self, questions_lost: u64, answers_lost: u64) {
        // A dead one hears nothing, and begins with whole lines.
        drop(writeln!(self.input, "lines {questions_lost} {answers_lost}"));
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(id, signal).unwrap();
    }
}

impl Drop for Voter {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_file(&self.errors));
    }
}

/// Starts the process and waits until it is ready; answers its address.
fn spawn(setting: &Setting, leads: &Arc<AtomicBool>, errors: &Path) -> (Child, ChildStdin, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["history::voter::voter", "--exact", "--nocapture", "--test-threads=1"])
        .env(VOTER, setting.encode())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(errors).unwrap())
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut line, mut address) = (String::new(), String::new());
    while !line.contains("@ready") {
        line.clear();
        if output.read_line(&mut line).unwrap() == 0 {
            let said = std::fs::read_to_string(errors).unwrap_or_default();
            drop(child.kill());
            drop(child.wait());
            panic!("voter {} did not start: {said}", setting.id);
        }
        heed(&line, leads);
        if let Some((_, found)) = line.split_once("@address ") {
            found.trim_end().clone_into(&mut address);
        }
    }
    let leads = Arc::clone(leads);
    std::thread::spawn(move || {
        for line in output.lines().map_while(std::result::Result::ok) {
            heed(&line, &leads);
        }
    });
    (child, input, address)
}

fn heed(line: &str, leads: &AtomicBool) {
    if let Some((_, word)) = line.split_once("@leads ") {
        leads.store(word.trim_end() == "true", Ordering::SeqCst);
    }
}
