//! A run: machines, control nodes, a user, and what befalls them, all drawn from one seed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use univrs_authz::Authorizer;
use univrs_control::{Control, Mirror, WorkloadKey, WriteOptions};
use univrs_model::caller::Caller;
use univrs_model::instance::{Desired, Phase};
use univrs_model::name::Name;
use univrs_model::rollout::WorkloadStatus;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::store::StateStore;
use univrs_seal::ValidatorSealer;

use super::chance::{Chance, SkewedClock};
use super::gossip::Gossip;
use super::host::{Host, Terrain, running};
use super::hub::Hub;
use super::link::{Life, Line, Link, Linked, Plant};
use super::planner::Planner;
use super::promises::Promises;
use super::unreachable::Nowhere;

/// How long everything may take to be as wanted once nothing happens any more.
const CONVERGENCE: Duration = Duration::from_secs(420);
/// Workloads of a run.
const MOST_WORKLOADS: u64 = 4;
/// How many of the last lines of a trace are shown with a failure.
const LAST: usize = 200;
/// Reading the policies takes long; they are the same in all runs.
static POLICIES: LazyLock<Arc<Authorizer>> = LazyLock::new(|| Arc::new(Authorizer::new().unwrap()));

/// What a run has shown.
pub(crate) struct Outcome {
    pub(crate) trace: u64,
    pub(crate) told: Vec<String>,
    pub(crate) revisions: u64,
    /// What is wrong, and what happened last.
    pub(crate) failure: Option<String>,
}

struct World {
    hub: Hub,
    chance: Chance,
    /// What is harsh is drawn from another source, or none.
    harsh: Option<Chance>,
    gossip: Gossip,
    hosts: Vec<Host>,
    planners: Vec<Planner>,
    control: Control,
    made: u64,
}

/// Runs a seed in virtual time.
pub(crate) fn run(seed: u64, plant: Plant, terrain: Terrain) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let files = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, plant, terrain, files.path()).await;
        let happened = world.live().await;
        let converged = if happened.is_ok() { world.converges().await } else { Ok(()) };
        let inner = world.hub.lock();
        let promises = &inner.promises;
        let mut wrong = promises.broken.clone();
        wrong.extend(happened.err().into_iter().chain(converged.err()));
        let failure = (!wrong.is_empty()).then(|| {
            let skews: Vec<i64> = world.hosts.iter().map(Host::skew).collect();
            format!(
                "seed {seed} (again with UNIVRS_SIMULATION_SEED={seed}), clocks off by {skews:?} ms:\n{}\n{}",
                promises.told()[promises.told().len().saturating_sub(LAST)..].join("\n"),
                wrong.join("\n")
            )
        });
        Outcome {
            told: promises.told().to_vec(),
            trace: promises.trace(),
            revisions: promises.state.revision.0,
            failure,
        }
    })
}

impl World {
    async fn new(seed: u64, plant: Plant, terrain: Terrain, files: &std::path::Path) -> Self {
        let began = tokio::time::Instant::now();
        let (chance, hub) = (Chance::of(seed), Hub::new(Promises::new(began)));
        tokio::spawn(hub.clone().end_leases());
        let gossip = Gossip::of(seed, &hub, plant);
        tokio::spawn(gossip.clone().run());
        let mut hosts: Vec<Host> = (1..=4 + chance.below(3))
            .map(|number| Host::new(number, &hub, &gossip, &chance, (plant, terrain), files))
            .collect();
        let harsh = (terrain == Terrain::Harsh).then(|| Chance::of(!seed));
        for host in &hosts {
            host.line.slim.store(harsh.as_ref().is_some_and(|harsh| harsh.percent(50)), Ordering::SeqCst);
        }
        hosts.iter_mut().for_each(Host::start);
        let mut planners: Vec<Planner> = (0..2).map(|_| Planner::new(&hub, &chance, plant)).collect();
        planners.iter_mut().for_each(Planner::start);
        planners[0].lead(true);
        let life = Arc::new(Life::default());
        let link = Link::new(&hub, &Arc::new(Line::default()), &life, &chance, Plant::Nothing);
        let store: Arc<dyn StateStore> = Arc::new(Linked(link));
        let mirror = Mirror::start(Arc::clone(&store), Vec::new(), CancellationToken::new()).await.unwrap();
        let sealer = ValidatorSealer::new(hosts[0].id.clone(), &[7; 32]).unwrap();
        let clock = SkewedClock::new(began, 0);
        let control =
            Control::new(store, mirror, clock, Arc::new(Nowhere), Arc::new(sealer), Arc::clone(&POLICIES));
        Self { hub, chance, harsh, gossip, hosts, planners, control, made: 0 }
    }

    /// The user acts and faults strike, until a promise is broken or the time is over.
    async fn live(&mut self) -> Result<(), String> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        for _ in 0..2 + self.chance.below(2) {
            self.create().await;
        }
        for _ in 0..20 + self.chance.below(15) {
            tokio::time::sleep(self.chance.millis(50..5000)).await;
            self.happen().await;
            self.intact()?;
        }
        Ok(())
    }

    fn intact(&self) -> Result<(), String> {
        if self.hub.lock().promises.broken.is_empty() {
            Ok(())
        } else {
            Err("the run ended there".to_owned())
        }
    }

    fn note(&self, what: String) {
        self.hub.lock().promises.note(what);
    }

    async fn happen(&mut self) {
        let at = usize::try_from(self.chance.below(self.hosts.len() as u64)).unwrap();
        let which = usize::try_from(self.chance.below(2)).unwrap();
        let kind = self.chance.below(100);
        self.note(format!("event {kind} on machine {at} or control node {which}"));
        let flip = |flag: &std::sync::atomic::AtomicBool| {
            flag.fetch_xor(true, Ordering::SeqCst);
        };
        match kind {
            0..18 => self.hosts[at].line.set_cut(&self.hub, !self.hosts[at].line.is_cut()),
            18..24 => flip(&self.hosts[at].line.slow),
            24..34 => self.restart(at).await,
            34..46 => self.hosts[at].start(),
            46..51 => self.hosts[at].power_off(),
            51..57 => self.hosts[at].crash_one().await,
            57..61 => {
                let line = &self.planners[which].line;
                line.set_cut(&self.hub, !line.is_cut());
            }
            61..64 => flip(&self.planners[which].line.slow),
            64..71 => self.planners[which].crash_after(1 + self.chance.below(4)),
            71..74 => self.planners[which].kill(),
            74..79 => self.planners[which].start(),
            79..86 => self.change_planner().await,
            86..88 => self.hub.change_leader(),
            88..90 => self.hub.compact(),
            90..92 => self.create().await,
            92..97 => self.change().await,
            97..98 => self.delete().await,
            _ => self.drain(at).await,
        }
    }

    /// The agent is killed, and the service manager starts it again.
    async fn restart(&mut self, at: usize) {
        if !self.hosts[at].runs() {
            return;
        }
        self.hosts[at].kill();
        tokio::time::sleep(self.chance.millis(10..2000)).await;
        self.hosts[at].start();
        let Some(harsh) = self.harsh.clone().filter(|_| self.hosts[at].line.is_cut()) else { return };
        for _ in 0..harsh.below(5) {
            tokio::time::sleep(harsh.millis(10..6000)).await;
            self.hosts[at].kill();
            tokio::time::sleep(harsh.millis(10..2000)).await;
            self.hosts[at].start();
        }
    }

    /// The lead goes to the other control node; for a while both may believe that they have it, or neither.
    async fn change_planner(&mut self) {
        let next = usize::try_from(self.chance.below(2)).unwrap();
        let both = self.chance.percent(50);
        if both {
            self.planners[next].lead(true);
        } else {
            self.planners[1 - next].lead(false);
        }
        if both && self.chance.percent(70) {
            // Both decide about the same at once.
            match self.chance.below(3) {
                0 => self.create().await,
                1 => self.change().await,
                _ => {
                    let at = usize::try_from(self.chance.below(self.hosts.len() as u64)).unwrap();
                    self.hosts[at].power_off();
                }
            }
        }
        tokio::time::sleep(self.chance.millis(0..3000)).await;
        self.planners[next].lead(true);
        self.planners[1 - next].lead(false);
    }

    async fn create(&mut self) {
        // As many as there is room for, also while an update runs.
        if self.made == MOST_WORKLOADS {
            return;
        }
        self.made += 1;
        let name = format!("app-{}", self.made);
        let singleton = self.chance.percent(40);
        let replicas = if singleton { 1 } else { 1 + self.chance.below(2) };
        let stop_after = if self.chance.percent(30) { r#","stop_after":"12s""# } else { "" };
        let image = self.harsh.as_ref().map_or("app:1".to_owned(), |harsh| match harsh.below(3) {
            0 => "app:1".to_owned(),
            1 => format!("sim/run:1?stop_delay={}ms", harsh.below(12_000)),
            _ => "sim/stubborn:1".to_owned(),
        });
        let returns = ["keep_replacement", "keep_replacement", "keep_original", "best_score"];
        let on_reconnect = returns[usize::try_from(self.chance.below(4)).unwrap()];
        let document = format!(
            r#"{{"name":"{name}","image":"{image}","replicas":{replicas},"singleton":{singleton},
            "update":{{"max_unavailable":{},"deadline":"20m"}},"restart":{{"initial":"1s","max":"5s"}},
            "on_disconnect":{{"on_reconnect":"{on_reconnect}"{stop_after}}}}}"#,
            self.chance.below(2)
        );
        let spec = univrs_model::decode::from_json(document.as_bytes()).unwrap();
        // The user's way to the store is whole; still a write may lose a race, and then is not made.
        drop(self.control.create_workload(&Caller::local_admin(), spec, &WriteOptions::default()).await);
    }

    fn any_workload(&self) -> Option<String> {
        let names: Vec<Name> =
            self.control.mirror().state().workloads.keys().map(|key| key.name.clone()).collect();
        let at = usize::try_from(self.chance.below(names.len().max(1) as u64)).unwrap();
        names.get(at).map(Name::to_string)
    }

    async fn change(&mut self) {
        let Some(name) = self.any_workload() else { return };
        let (scale, version) = (self.chance.percent(40), self.chance.below(1000));
        let replicas = u32::try_from(1 + self.chance.below(2)).unwrap();
        let change = |spec: &WorkloadSpec| {
            let mut spec = spec.clone();
            if scale && !spec.singleton {
                spec.replicas = replicas;
            } else {
                // How it ends stays as it is.
                let image = spec.image.unwrap_or_default();
                let (name, rest) = image.split_once(':').unwrap_or((&image, ""));
                let how = rest.split_once('?').map_or(String::new(), |(_, how)| format!("?{how}"));
                spec.image = Some(format!("{name}:{version}{how}"));
            }
            Ok(spec)
        };
        drop(
            self.control
                .change_workload(&Caller::local_admin(), &name, &WriteOptions::default(), change)
                .await,
        );
    }

    async fn delete(&mut self) {
        let Some(name) = self.any_workload() else { return };
        drop(self.control.delete_workload(&Caller::local_admin(), &name, &WriteOptions::default()).await);
    }

    /// A machine is drained, or taken into use again.
    async fn drain(&mut self, at: usize) {
        let name = self.hosts[at].name.clone();
        let change = |mut policy: univrs_model::node::NodePolicy| {
            policy.draining = !policy.draining;
            policy.cordoned = policy.draining;
            policy
        };
        drop(self.control.change_node(&Caller::local_admin(), &name, change).await);
    }

    /// All is whole again: everything must become as wanted, and stay so.
    async fn converges(&mut self) -> Result<(), String> {
        self.note("from here on nothing happens".to_owned());
        self.gossip.calm();
        for host in &mut self.hosts {
            host.line.set_cut(&self.hub, false);
            host.line.slow.store(false, Ordering::SeqCst);
            host.start();
        }
        for planner in &mut self.planners {
            planner.line.set_cut(&self.hub, false);
            planner.line.slow.store(false, Ordering::SeqCst);
            planner.calm();
            planner.start();
        }
        self.planners[1].lead(false);
        self.planners[0].lead(true);
        for host in &self.hosts {
            let back = |mut policy: univrs_model::node::NodePolicy| {
                (policy.draining, policy.cordoned) = (false, false);
                policy
            };
            drop(self.control.change_node(&Caller::local_admin(), &host.name, back).await);
        }
        let deadline = tokio::time::Instant::now() + CONVERGENCE;
        let (mut missing, mut calm) = (Vec::new(), 0);
        while calm < 5 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            self.intact()?;
            missing = self.missing();
            calm = if missing.is_empty() { calm + 1 } else { 0 };
            if tokio::time::Instant::now() > deadline {
                return Err(format!("it does not become as wanted:\n{}", missing.join("\n")));
            }
        }
        drop(missing);
        Ok(())
    }

    /// In what the world is not as wanted.
    fn missing(&self) -> Vec<String> {
        let inner = self.hub.lock();
        let state = &inner.promises.state;
        let mut missing = Vec::new();
        for (key, workload) in &state.workloads {
            let name = &key.name;
            if workload.deleting {
                missing.push(format!("{name} is still there"));
                continue;
            }
            let Some(rollout) = state.rollouts.get(key) else {
                missing.push(format!("{name} is not taken up"));
                continue;
            };
            if !matches!(rollout.status, WorkloadStatus::Running | WorkloadStatus::Reverted) {
                missing.push(format!("{name} is {:?}: {}", rollout.status, rollout.message));
            }
            let serving = state.instances_of(key).into_iter().filter(|instance| {
                instance.serves()
                    && instance.assignment.desired == Desired::Run
                    && instance.assignment.workload_revision == rollout.target
            });
            let (serving, replicas) = (serving.count(), workload.spec.replicas);
            if serving != replicas as usize {
                missing.push(format!("{name} has {serving} of {replicas}"));
            }
        }
        for host in &self.hosts {
            if !host.runs() || !state.nodes_alive.contains(&host.id) {
                missing.push(format!("{} is not there", host.name));
            }
            let mut runs = running(&host.runtime);
            let wanted = state.assignments_on(&host.id).filter(|assignment| {
                let ended = state.instance(&assignment.id).is_none_or(|i| i.phase() != Phase::Running);
                assignment.desired == Desired::Run && !assignment.lost && !ended
            });
            let mut wanted: Vec<_> = wanted.map(|assignment| assignment.id.clone()).collect();
            runs.sort();
            wanted.sort();
            if runs != wanted {
                missing.push(format!("{} runs {runs:?} instead of {wanted:?}", host.name));
            }
        }
        missing.extend(self.gossip.missing());
        let seen = self.control.mirror().state();
        let equal = |key: &WorkloadKey| {
            seen.workloads.get(key).map(|w| w.revision) == state.workloads.get(key).map(|w| w.revision)
        };
        if seen.revision != state.revision || !state.workloads.keys().all(equal) {
            missing
                .push(format!("the picture is of revision {} instead of {}", seen.revision, state.revision));
        }
        missing
    }
}
