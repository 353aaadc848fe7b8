//! The simulated runtime: the same suite, and the sizes that only it reaches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt as _;
use univrs_ports::runtime::conformance::{Ability, Behaviour, Command, HOSTNAME, Subject, checks};
use univrs_ports::runtime::{ContainerId, ContainerPhase, ContainerSpec, Runtime};
use univrs_runtime::SimulatedRuntime;

use crate::bundle::{fresh, script};
use crate::harness::{Outcome, Test, say};

const MANY: usize = 10_000;

struct Simulation(SimulatedRuntime);

#[async_trait]
impl Subject for Simulation {
    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(self.0.clone())
    }

    async fn restart(&self) -> Arc<dyn Runtime> {
        Arc::new(self.0.reopen())
    }

    fn spec(&self, id: ContainerId, attempt: u32, behaviour: &Behaviour) -> ContainerSpec {
        let labels: &[(&str, String)] = &match behaviour {
            Behaviour::EndsOnTerm(code) => {
                vec![("exit_code", code.to_string()), ("says", "ready".to_owned())]
            }
            Behaviour::Stubborn => vec![("ignore_signals", "true".to_owned())],
            Behaviour::EndsAfter(time, code) => {
                vec![("exit_after", format!("{}ms", time.as_millis())), ("exit_code", code.to_string())]
            }
            Behaviour::Says(lines) => {
                let mark = |to_error: bool| if to_error { "!" } else { "" };
                let text: Vec<_> =
                    lines.iter().map(|(to_error, line)| format!("{}{line}", mark(*to_error))).collect();
                vec![
                    ("says", text.join("\n")),
                    ("says_every", "5ms".to_owned()),
                    ("exit_after", format!("{}ms", 5 * lines.len())),
                ]
            }
            Behaviour::Ticks => vec![("says", "tick {n}".to_owned()), ("says_every", "50ms".to_owned())],
            Behaviour::Missing => {
                vec![("fail_start", "executable `/no/such/program` was not found".to_owned())]
            }
        };
        let labels = labels.iter().map(|(key, value)| (format!("simulate.{key}"), value.clone())).collect();
        ContainerSpec { attempt, labels, ..script(&id, Vec::new(), "") }
    }

    fn command(&self, command: Command) -> Vec<String> {
        let text = match command {
            Command::Exits(code) => format!("exit {code}"),
            Command::Copies => "cat".to_owned(),
            Command::Says => "echo to out; complain to err".to_owned(),
            Command::Measures | Command::Stays => "sleep 1h".to_owned(),
            Command::Missing => "/no/such/program".to_owned(),
        };
        vec![text]
    }

    fn lacks(&self) -> &[Ability] {
        &[Ability::Terminal, Ability::CountsProcesses]
    }
}

/// Adds the tests.
pub(crate) fn add(tests: &mut Vec<Test>) {
    for check in checks() {
        tests.push(Test::new(format!("simulated::{}", check.name), move || async move {
            let subject = Simulation(SimulatedRuntime::new());
            match check.needs {
                Some(ability) if subject.lacks().contains(&ability) => {
                    Outcome::LeftOut(format!("it lacks {ability:?}"))
                }
                _ => {
                    check.run(&subject).await;
                    Outcome::Passed
                }
            }
        }));
    }
    tests.push(Test::new("simulated::ten_thousand_containers_are_cheap", || async {
        many().await;
        Outcome::Passed
    }));
}

async fn many() {
    let runtime = SimulatedRuntime::new();
    let began = Instant::now();
    let mut endings = runtime.endings();
    for _ in 0..MANY {
        let mut spec = script(&fresh("app"), Vec::new(), "");
        spec.image.reference = "sim/exit:0?after=2s".to_owned();
        spec.labels = BTreeMap::new();
        runtime.open_sandbox(&spec.id.instance, HOSTNAME).await.expect("a sandbox");
        runtime.start(&spec).await.expect("it starts");
    }
    let started = began.elapsed();
    let running = runtime.list().await.expect("a list").containers;
    assert_eq!(running.len(), MANY);
    let told = async {
        for _ in 0..MANY {
            endings.next().await.expect("more");
        }
    };
    tokio::time::timeout(Duration::from_secs(300), told).await.expect("all endings in time");
    let ended = runtime.list().await.expect("a list").containers;
    assert!(ended.iter().all(|state| matches!(state.phase, ContainerPhase::Exited(_))));
    say(&format!("  {MANY} simulated containers: started in {:.0} ms", started.as_secs_f64() * 1e3));
}
