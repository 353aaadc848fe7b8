//! Loads a store over the wire: `load <address,…> <clients> <connections> <seconds>`, or
//! `load <address,…> watch <seconds>` for how long a change takes to reach a watcher.
//!
//! Values of 512 bytes under 10 000 keys; a client writes, waits for the answer, and writes again. Prints one JSON
//! object. `scripts/bench/etcd-load` is the same program for etcd.

use std::io::Write;
use std::time::{Duration, Instant};

use futures::StreamExt;
use univrs_ports::store::{Consistency, Error, Key, Page, Prefix, StateStore, Txn, WatchEvent};
use univrs_store::wire::{RemoteOptions, RemoteStore};

const KEYS: usize = 10_000;
const VALUE: usize = 512;
/// Watched writes per second.
const PACE: u64 = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let line = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [nodes, "watch", seconds] => watch(nodes, Duration::from_secs(seconds.parse()?)).await?,
        [nodes, clients, connections, seconds] => {
            write(nodes, clients.parse()?, connections.parse()?, Duration::from_secs(seconds.parse()?))
                .await?
        }
        _ => return Err("which nodes, how many clients and connections, how many seconds?".into()),
    };
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

async fn connect(nodes: &str) -> Result<RemoteStore, Error> {
    RemoteStore::connect(RemoteOptions::new(nodes.split(',').map(str::to_owned).collect())).await
}

async fn write(
    nodes: &str,
    clients: usize,
    connections: usize,
    time: Duration,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut stores = Vec::new();
    for _ in 0..connections.max(1) {
        stores.push(connect(nodes).await?);
    }
    let begun = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let store = stores[client % stores.len()].clone();
            tokio::spawn(async move {
                let (mut latencies, mut number) = (Vec::new(), client);
                while begun.elapsed() < time {
                    let sent = Instant::now();
                    store.txn(Txn::put(key(number % KEYS)?, vec![0x5a; VALUE])).await?;
                    latencies.push(sent.elapsed());
                    number += clients;
                }
                Ok::<_, Error>(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    Ok(summary(latencies, begun.elapsed()))
}

async fn watch(nodes: &str, time: Duration) -> Result<String, Box<dyn std::error::Error>> {
    let (writer, watcher) = (connect(nodes).await?, connect(nodes).await?);
    let (scope, first) = (Prefix::new("watched"), Page::first(1));
    let from = writer.range(&scope, first, Consistency::Linearizable).await?.revision;
    let mut watch = watcher.watch(&scope, from).await?;
    let begun = Instant::now();
    let count = PACE * time.as_secs();
    let writing = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(1000 / PACE));
        for _ in 0..count {
            pace.tick().await;
            let mut value = vec![0x5a; VALUE];
            let now = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            value[..8].copy_from_slice(&now.to_le_bytes());
            writer.txn(Txn::put(Key::new("watched")?, value)).await?;
        }
        Ok::<_, Error>(())
    });
    let mut latencies = Vec::new();
    while (latencies.len() as u64) < count {
        let batch = watch.next().await.ok_or("the watch ended")??;
        let seen = begun.elapsed();
        for event in batch.events {
            if let WatchEvent::Put { value, .. } = event {
                let sent = value.value.first_chunk::<8>().ok_or("a value that is too short")?;
                latencies.push(seen.saturating_sub(Duration::from_nanos(u64::from_le_bytes(*sent))));
            }
        }
    }
    writing.await??;
    Ok(summary(latencies, begun.elapsed()))
}

fn key(number: usize) -> Result<Key, Error> {
    Key::new(format!("registry/workloads/{number:05}"))
}

fn summary(mut latencies: Vec<Duration>, took: Duration) -> String {
    latencies.sort_unstable();
    let at = |part: usize| latencies.get(latencies.len() * part / 100).copied().unwrap_or_default();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    format!(
        r#"{{"count":{},"per_second":{:.0},"p50_ms":{:.3},"p99_ms":{:.3}}}"#,
        latencies.len(),
        latencies.len() as f64 / took.as_secs_f64(),
        millis(at(50)),
        millis(at(99)),
    )
}
