//! Figures, not judgements: how long starts take, and what a shim weighs.

use std::time::Instant;

use univrs_model::span::Span;
use univrs_ports::runtime::Runtime as _;
use univrs_ports::runtime::conformance::HOSTNAME;

use crate::bundle::{Node, fresh, obstacle};
use crate::harness::{Outcome, Test, say};

const STARTS: usize = 30;
const AT_ONCE: usize = 20;

/// Adds the measurement.
pub(crate) fn add(tests: &mut Vec<Test>) {
    tests.push(Test::new("latency::figures", || async {
        match obstacle() {
            Some(reason) => Outcome::LeftOut(reason),
            None => {
                measure().await;
                Outcome::Passed
            }
        }
    }));
}

async fn measure() {
    let node = Node::new();
    let runtime = node.oci();
    let mut millis = Vec::with_capacity(STARTS);
    let mut weights = Vec::new();
    for _ in 0..STARTS {
        let id = fresh("app");
        runtime.open_sandbox(&id.instance, HOSTNAME).await.expect("a sandbox");
        let began = Instant::now();
        runtime.start(&node.script(&id, "exec sleep 1000")).await.expect("it starts");
        millis.push(began.elapsed().as_secs_f64() * 1e3);
        weights.extend(shim_weight(&node.path("run").to_string_lossy()));
        runtime.stop(&id, Span::ZERO).await.expect("it stops");
        runtime.close_sandbox(&id.instance).await.expect("it closes");
    }
    millis.sort_by(f64::total_cmp);
    let at = |part: f64| millis[((millis.len() - 1) as f64 * part) as usize];
    say(&format!(
        "  start of {STARTS} one after the other: p50 {:.1} ms, p90 {:.1} ms, most {:.1} ms",
        at(0.5),
        at(0.9),
        at(1.0)
    ));
    tell_weight("alone", weights);

    let ids: Vec<_> = (0..AT_ONCE).map(|_| fresh("app")).collect();
    let began = Instant::now();
    let starts = ids.iter().map(|id| {
        let (runtime, spec) = (&runtime, node.script(id, "exec sleep 1000"));
        async move {
            runtime.open_sandbox(&spec.id.instance, HOSTNAME).await.expect("a sandbox");
            runtime.start(&spec).await.expect("it starts");
        }
    });
    futures::future::join_all(starts).await;
    say(&format!("  {AT_ONCE} at once: {:.0} ms for all", began.elapsed().as_secs_f64() * 1e3));
    tell_weight("among others", shim_weight(&node.path("run").to_string_lossy()));
    let began = Instant::now();
    runtime.purge().await.expect("it purges");
    say(&format!("  purge of {AT_ONCE}: {:.0} ms", began.elapsed().as_secs_f64() * 1e3));
}

fn tell_weight(where_it_is: &str, mut weights: Vec<(u64, u64)>) {
    weights.sort_unstable();
    if let Some((pss, private)) = weights.get(weights.len() / 2) {
        say(&format!("  memory of a shim {where_it_is}: {pss} kB proportional, {private} kB of its own"));
    }
}

/// Proportional and private memory in kB of the shims that work below `dir`.
fn shim_weight(dir: &str) -> Vec<(u64, u64)> {
    let pids = std::fs::read_dir("/proc").expect("the processes").filter_map(Result::ok);
    pids.filter(|entry| {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        command.contains("shim-wait") && command.contains(dir)
    })
    .filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("smaps_rollup")).ok()?;
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.trim().split(' ').next()?.parse::<u64>().ok())
        };
        Some((value("Pss:")?, value("Private_Dirty:")?))
    })
    .collect()
}
