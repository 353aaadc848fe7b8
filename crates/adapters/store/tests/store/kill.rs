//! `kill -9` at any moment loses nothing that was acknowledged.
//!
//! The test starts its own binary again as a writer which says every acknowledged write, kills it after
//! a random time, opens the store and looks for what was said. `UNIVRS_SOAK_ROUNDS` sets the number of rounds.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::RngExt;
use univrs_ports::store::{Consistency, Page, Prefix, StateStore, Txn};
use univrs_store::{Options, RaftStore};

use crate::support::{key, single};

const WRITER: &str = "UNIVRS_STORE_TEST_WRITER";
const TASKS: u64 = 8;

/// Small limits, so that kills hit segment changes and snapshots as well. Half of the writers sync as on a slow disk.
fn options(dir: &Path) -> Options {
    let slow_sync = if rand::random() { Duration::ZERO } else { single(dir).slow_sync };
    Options {
        segment_bytes: 64 << 10,
        snapshot_bytes: 256 << 10,
        keep_log_bytes: 64 << 10,
        slow_sync,
        ..single(dir)
    }
}

/// The writer, when this binary was started as one.
#[test]
fn writer() {
    let Ok(dir) = std::env::var(WRITER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = RaftStore::open(options(Path::new(&dir))).await.unwrap();
        let mut counts = [0; TASKS as usize];
        for item in store.range(&Prefix::new("t"), Page::all(), Consistency::LOCAL).await.unwrap().items {
            let (task, count) = (&item.key.as_str()[1..], std::str::from_utf8(&item.value.value).unwrap());
            counts[task.parse::<usize>().unwrap()] = count.trim_end_matches('.').parse::<u64>().unwrap();
        }
        say("ready");
        let tasks = counts.into_iter().enumerate().map(|(task, start)| {
            let store = store.clone();
            tokio::spawn(async move {
                for count in start + 1.. {
                    let value = format!("{count}{}", ".".repeat(rand::rng().random_range(0..900)));
                    store.txn(Txn::put(key(&format!("t{task}")), value)).await.unwrap();
                    say(&format!("{task} {count}"));
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

/// One line in one write, past the capture of test output.
fn say(line: &str) {
    std::io::stdout().write_all(format!("@{line}\n").as_bytes()).unwrap();
}

/// Notes a write that was said; whether it was one. A last line without its end was not said completely.
fn note(line: &str, acknowledged: &mut [u64; TASKS as usize]) -> bool {
    let said = line.strip_prefix('@').and_then(|line| line.strip_suffix('\n')?.split_once(' '));
    let Some((task, count)) = said else { return false };
    let task: usize = task.parse().unwrap();
    acknowledged[task] = acknowledged[task].max(count.parse().unwrap());
    true
}

#[test]
fn nothing_acknowledged_is_lost_when_killed() {
    let rounds = std::env::var("UNIVRS_SOAK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(50);
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut acknowledged = [0_u64; TASKS as usize];
    let mut revision = 0;
    let errors = dir.path().with_extension("stderr");
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["kill::writer", "--exact", "--nocapture", "--test-threads=1"])
            .env(WRITER, dir.path())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // Some kills hit the start itself, while the log is read back.
        let wait = rand::rng().random_bool(0.8);
        // The others wait for some writes as well, so that there is something to lose however slow the disk is.
        let mut writes = if wait { rand::rng().random_range(1..8) } else { 0 };
        while writes > 0 {
            line.clear();
            if output.read_line(&mut line).unwrap() == 0 {
                panic!(
                    "the writer did not start in round {round}: {}",
                    std::fs::read_to_string(&errors).unwrap()
                );
            }
            if note(&line, &mut acknowledged) {
                writes -= 1;
            }
        }
        std::thread::sleep(Duration::from_micros(rand::rng().random_range(0..150_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        for line in rest.split_inclusive('\n') {
            note(line, &mut acknowledged);
        }
        runtime.block_on(async {
            let store = RaftStore::open(options(dir.path())).await.unwrap();
            for (task, said) in acknowledged.iter_mut().enumerate() {
                let stored = store.get(&key(&format!("t{task}")), Consistency::LOCAL).await.unwrap();
                let found = stored.map_or(0, |stored| {
                    std::str::from_utf8(&stored.value).unwrap().trim_end_matches('.').parse::<u64>().unwrap()
                });
                // At most one write per task was on its way.
                assert!(
                    found == *said || found == *said + 1,
                    "round {round}, task {task}: {found}, said {said}"
                );
                *said = found;
            }
            assert!(store.revision().0 >= revision, "revisions do not go back");
            revision = store.revision().0;
            store.close().await;
        });
    }
    std::fs::remove_file(&errors).unwrap();
    assert!(acknowledged.iter().sum::<u64>() > rounds, "{acknowledged:?}");
}
