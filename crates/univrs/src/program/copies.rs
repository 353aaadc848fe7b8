//! Copies of the program in the data directory: taken in, checked against their digests, and given to other nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OnceCell, watch};
use univrs_model::Timestamp;
use univrs_ports::images::Archive;
use univrs_ports::programs::{Order, Outcome, Program, ProgramError, ProgramStanding};

use crate::program::change::{Change, Place};
use crate::program::release;

/// Largest file that is taken for a program.
const LARGEST: u64 = 1 << 30;
/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// How long a program may take to say that it can be executed at all.
const HELLO: Duration = Duration::from_secs(60);

/// The copies, and what this node is told about its program.
pub(crate) struct Copies {
    place: Place,
    running: OnceCell<Program>,
    /// The change that this process is on trial for.
    on_trial: Mutex<Option<Change>>,
    fetch_failed: Mutex<Option<String>>,
    fetching: Mutex<BTreeSet<String>>,
    wanted: watch::Sender<Option<Order>>,
}

fn storage(doing: &'static str) -> impl FnOnce(io::Error) -> ProgramError {
    move |source| ProgramError::Storage { doing, source }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Copies {
    pub(crate) fn new(place: Place, on_trial: Option<Change>) -> Self {
        Self {
            place,
            running: OnceCell::new(),
            on_trial: Mutex::new(on_trial),
            fetch_failed: Mutex::default(),
            fetching: Mutex::default(),
            wanted: watch::Sender::new(None),
        }
    }

    /// Returns when this node is to run another program.
    pub(crate) async fn wanted(&self) -> Order {
        let mut orders = self.wanted.subscribe();
        loop {
            if let Some(order) = orders.borrow_and_update().clone() {
                return order;
            }
            if orders.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The change that this process is on trial for.
    pub(crate) fn trial(&self) -> Option<Change> {
        lock(&self.on_trial).clone()
    }

    /// Notes how the trial went.
    pub(crate) fn judge(&self, outcome: Outcome) -> io::Result<()> {
        match self.trial() {
            Some(change) => self.place.note(&Change { outcome, ..change }),
            None => Ok(()),
        }
    }

    /// The program that runs. Its file is read once.
    pub(crate) async fn running(&self) -> Result<Program, ProgramError> {
        let look = async {
            let release = release::own();
            let (digest, size) = match self.own_copy() {
                // It was checked when it came here.
                Some(copy) => copy,
                None => digest_of(Path::new("/proc/self/exe")).await.map_err(storage("read"))?,
            };
            Ok(Program { digest, version: release.version, feature_level: release.feature_level, size })
        };
        self.running.get_or_try_init(|| look).await.cloned()
    }

    /// The copy that runs, if the program is one.
    fn own_copy(&self) -> Option<(String, u64)> {
        let own = std::env::current_exe().ok()?;
        let root = fs::canonicalize(self.place.root()).ok()?;
        let name = own.strip_prefix(&root).ok()?.to_str().filter(|name| is_digest(name))?;
        Some((format!("sha256:{name}"), fs::metadata(&own).ok()?.len()))
    }

    /// How this node stands.
    pub(crate) async fn standing(&self) -> Result<ProgramStanding, ProgramError> {
        let held = fs::read_dir(self.place.root()).into_iter().flatten().flatten();
        let names = held.filter_map(|entry| entry.file_name().into_string().ok());
        let held = names.filter(|name| is_digest(name));
        let held = held.filter_map(|name| self.known(&format!("sha256:{name}")).ok()).collect();
        Ok(ProgramStanding {
            running: self.running().await?,
            on_trial: self.trial().is_some(),
            tried: self.place.change().map(|change| change.told()),
            held,
            fetch_failed: lock(&self.fetch_failed).clone(),
        })
    }

    /// A copy that is here.
    pub(crate) fn known(&self, digest: &str) -> Result<Program, ProgramError> {
        let path = self.path(digest)?;
        let absent = || ProgramError::Absent { digest: digest.to_owned() };
        let size = fs::metadata(&path).map_err(|_| absent())?.len();
        let release =
            release::of(&path).map_err(|error| ProgramError::NotAProgram { reason: error.to_string() })?;
        Ok(Program {
            digest: digest.to_owned(),
            version: release.version,
            feature_level: release.feature_level,
            size,
        })
    }

    /// Where a copy lies, or is to lie.
    pub(crate) fn path(&self, digest: &str) -> Result<PathBuf, ProgramError> {
        let plain = digest.strip_prefix("sha256:").filter(|name| is_digest(name));
        plain
            .map(|_| self.place.copy(digest))
            .ok_or_else(|| ProgramError::Absent { digest: digest.to_owned() })
    }

    /// Takes a copy in. With `expect` its digest has to be that.
    pub(crate) async fn take_in(&self, file: Archive, expect: Option<&str>) -> Result<Program, ProgramError> {
        let temporary = self.temporary()?;
        let kept = self.keep(file, &temporary, expect).await;
        if kept.is_err() {
            // Whatever is wrong with it is said; that a part of it stays would be worse.
            drop(fs::remove_file(&temporary));
        }
        kept
    }

    async fn keep(
        &self,
        file: Archive,
        temporary: &Path,
        expect: Option<&str>,
    ) -> Result<Program, ProgramError> {
        let program = receive(file, temporary, expect).await?;
        fs::set_permissions(temporary, fs::Permissions::from_mode(0o755)).map_err(storage("write"))?;
        says_hello(temporary).await.map_err(|reason| ProgramError::NotAProgram { reason })?;
        fs::rename(temporary, self.place.copy(&program.digest)).map_err(storage("keep"))?;
        Ok(program)
    }

    /// Reads a copy, and keeps nothing of it. It is not run: who only asks for a plan may do nothing yet.
    pub(crate) async fn check(&self, file: Archive) -> Result<Program, ProgramError> {
        let temporary = self.temporary()?;
        let read = receive(file, &temporary, None).await;
        drop(fs::remove_file(&temporary));
        read
    }

    /// Where a copy is written that is not whole yet.
    fn temporary(&self) -> Result<PathBuf, ProgramError> {
        fs::create_dir_all(self.place.root()).map_err(storage("make room for"))?;
        Ok(self.place.root().join(format!("{:016x}.new", rand::random::<u64>())))
    }

    /// Begins to fetch, unless that is under way; whoever asked tells how it ended.
    pub(crate) fn begin_fetch(&self, digest: &str) -> bool {
        *lock(&self.fetch_failed) = None;
        lock(&self.fetching).insert(digest.to_owned())
    }

    pub(crate) fn end_fetch(&self, digest: &str, outcome: Result<(), String>) {
        *lock(&self.fetch_failed) = outcome.err();
        lock(&self.fetching).remove(digest);
    }

    /// Takes an order: checks that it can be followed, keeps what runs as a copy, and lets the daemon end.
    pub(crate) async fn order(&self, order: Order) -> Result<(), String> {
        if self.trial().is_some() {
            return Err("it is trying a program".to_owned());
        }
        if self.wanted.borrow().is_some() {
            return Err("it is changing its program".to_owned());
        }
        if self.place.change().is_some_and(|change| change.by == order.by && change.to == order.to) {
            // Said twice.
            return Ok(());
        }
        self.known(&order.to).map_err(|error| error.to_string())?;
        let running = self.running().await.map_err(|error| error.to_string())?;
        if running.digest == order.to {
            return Ok(());
        }
        let own = self.path(&running.digest).map_err(|error| error.to_string())?;
        if !own.exists() {
            let temporary = own.with_extension("new");
            tokio::fs::copy("/proc/self/exe", &temporary).await.map_err(|error| error.to_string())?;
            fs::rename(&temporary, &own).map_err(|error| error.to_string())?;
        }
        self.forget_all_but(&[&running.digest, &order.to]);
        self.wanted.send_replace(Some(order));
        Ok(())
    }

    /// The change that an order means, with what has to run on.
    pub(crate) async fn change(
        &self,
        order: Order,
        containers: BTreeMap<String, Timestamp>,
    ) -> Result<Change, ProgramError> {
        let Order { by, to, seconds } = order;
        let from = self.running().await?.digest;
        Ok(Change { by, to, from, guard: 0, seconds, outcome: Outcome::Trying, containers })
    }

    fn forget_all_but(&self, kept: &[&str]) {
        let keep: Vec<PathBuf> = kept.iter().map(|digest| self.place.copy(digest)).collect();
        for entry in fs::read_dir(self.place.root()).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if (is_digest(&name) || name.ends_with(".new")) && !keep.contains(&path) {
                // Room that is not got back now is got back the next time.
                drop(fs::remove_file(path));
            }
        }
    }
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Writes a copy to `temporary` and reads what it is. With `expect` its digest has to be that.
async fn receive(mut file: Archive, temporary: &Path, expect: Option<&str>) -> Result<Program, ProgramError> {
    let mut out = tokio::fs::File::create(temporary).await.map_err(storage("write"))?;
    let (mut hash, mut size) = (Sha256::new(), 0_u64);
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).await.map_err(storage("receive"))?;
        if read == 0 {
            break;
        }
        size += read as u64;
        if size > LARGEST {
            return Err(ProgramError::NotAProgram { reason: format!("it is larger than {LARGEST} bytes") });
        }
        hash.update(&piece[..read]);
        out.write_all(&piece[..read]).await.map_err(storage("write"))?;
    }
    out.flush().await.map_err(storage("write"))?;
    out.sync_all().await.map_err(storage("write"))?;
    drop(out);
    let digest = format!("sha256:{}", hex::encode(hash.finalize()));
    if let Some(expect) = expect.filter(|expect| *expect != digest) {
        return Err(ProgramError::NotAProgram {
            reason: format!("what arrived is {digest} and not {expect}"),
        });
    }
    let release =
        release::of(temporary).map_err(|error| ProgramError::NotAProgram { reason: error.to_string() })?;
    Ok(Program { digest, version: release.version, feature_level: release.feature_level, size })
}

async fn digest_of(path: &Path) -> io::Result<(String, u64)> {
    let path = path.to_owned();
    let work = move || {
        let mut file = fs::File::open(path)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; PIECE];
        let mut size = 0;
        loop {
            let read = io::Read::read(&mut file, &mut piece)?;
            if read == 0 {
                return Ok((format!("sha256:{}", hex::encode(hash.finalize())), size));
            }
            size += read as u64;
            hash.update(&piece[..read]);
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Whether a program can be executed here at all, with the libraries of this machine.
async fn says_hello(path: &Path) -> Result<(), String> {
    let begun = tokio::time::Instant::now();
    let output = loop {
        let mut command = tokio::process::Command::new(path);
        command.arg("--version").env_clear().stdin(std::process::Stdio::null()).kill_on_drop(true);
        match tokio::time::timeout(HELLO, command.output()).await {
            // A process that was made meanwhile may have the file open for writing until it executes its own program.
            Ok(Err(error))
                if error.kind() == io::ErrorKind::ExecutableFileBusy && begun.elapsed() < HELLO =>
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(output) => break output.map_err(|error| format!("it cannot be executed here: {error}"))?,
            Err(_) => return Err(format!("it does not answer `--version` within {} s", HELLO.as_secs())),
        }
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "it cannot be executed here ({}): {}",
        output.status,
        said.lines().last().unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use univrs_ports::images::Archive;
    use univrs_ports::programs::ProgramError;

    use super::Copies;
    use crate::program::change::Place;

    #[tokio::test]
    async fn what_is_no_program_is_refused_by_a_plan_too_and_nothing_of_it_stays() {
        let directory = tempfile::tempdir().unwrap();
        let copies = Copies::new(Place::new(directory.path().to_owned()), None);
        for bytes in [&b""[..], b"[]", b"\x7fELF", b"#!/bin/sh\nexit 0\n"] {
            let file = || -> Archive { Box::new(bytes) };
            for refused in [copies.check(file()).await, copies.take_in(file(), None).await] {
                assert!(matches!(refused, Err(ProgramError::NotAProgram { .. })), "{refused:?}");
            }
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }
}
