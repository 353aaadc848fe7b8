//! Measures the store on this machine: `measure <directory> [seconds]`.
//!
//! One voter, values of 512 bytes, 10 000 keys, every write durable before it counts.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use univrs_ports::store::{Consistency, Error, Key, MemberId, StateStore, Txn};
use univrs_store::{Options, RaftStore};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("which directory?")?;
    let seconds = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(Path::new(&dir), Duration::from_secs(seconds)))
}

async fn measure(dir: &Path, time: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    writeln!(out, "before opening: {}", memory())?;
    let start = Instant::now();
    let store = RaftStore::open(Options { bootstrap: true, ..Options::new(dir, MemberId(1)) }).await?;
    writeln!(out, "opened in {:?}: {}", start.elapsed(), memory())?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    writeln!(out, "idle: {}", memory())?;
    for tasks in [1, 64, 512] {
        let (count, mut latencies) = write(&store, tasks, time).await?;
        latencies.sort_unstable();
        let at = |part: usize| latencies.get(latencies.len() * part / 100).copied().unwrap_or_default();
        let rate = count as f64 / time.as_secs_f64();
        writeln!(
            out,
            "{tasks} writers: {rate:.0} writes/s, p50 {:?}, p99 {:?}, {}",
            at(50),
            at(99),
            memory()
        )?;
    }
    for (name, consistency) in [("local", Consistency::LOCAL), ("linearizable", Consistency::Linearizable)] {
        let (start, mut reads) = (Instant::now(), 0_u64);
        let key = key(1)?;
        while start.elapsed() < time {
            store.get(&key, consistency).await?;
            reads += 1;
        }
        writeln!(out, "{name} reads, 1 task: {:.0}/s", reads as f64 / time.as_secs_f64())?;
    }
    store.close().await;
    drop(store);
    let start = Instant::now();
    let store = RaftStore::open(Options::new(dir, MemberId(1))).await?;
    writeln!(out, "reopened at revision {} in {:?}: {}", store.revision(), start.elapsed(), memory())?;
    store.close().await;
    Ok(())
}

async fn write(store: &RaftStore, tasks: u64, time: Duration) -> Result<(u64, Vec<Duration>), Error> {
    let count = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..tasks)
        .map(|task| {
            let (store, count) = (store.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let (start, mut latencies) = (Instant::now(), Vec::new());
                let mut number = task;
                while start.elapsed() < time {
                    let begun = Instant::now();
                    store.txn(Txn::put(key(number % 10_000)?, vec![0x5a; 512])).await?;
                    latencies.push(begun.elapsed());
                    count.fetch_add(1, Ordering::Relaxed);
                    number += tasks;
                }
                Ok::<_, Error>(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for writer in writers {
        latencies.extend(writer.await.map_err(|_| Error::Closed)??);
    }
    Ok((count.load(Ordering::Relaxed), latencies))
}

fn key(number: u64) -> Result<Key, Error> {
    Key::new(format!("registry/workloads/{number:05}"))
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned();
    format!("resident {}, at most {}", field("VmRSS:"), field("VmHWM:"))
}
