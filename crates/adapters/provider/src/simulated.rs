//! The provider `simulated`: nothing it makes is real. It keeps what it was asked for in memory, takes as long as its
//! script says, and fails where its script says, also after having acted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use univrs_model::ids::ResourceId;
use univrs_model::name::Name;
use univrs_model::resource::RESOURCE_LABEL;
use univrs_model::workload::{WorkloadKind, WorkloadSpec};
use univrs_ports::provider::{
    JobOutcome, Order, Provider, ProviderError, ProviderView, ResourceRef, ResourceUse, Standing,
};

/// How long what lapsed does not serve.
const LAPSE: Duration = Duration::from_secs(3600);

/// How a simulated world behaves.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// How long something that was deployed takes until it serves.
    pub until_serving: Duration,
    /// How long each call takes.
    pub latency: Duration,
    /// What comes of the next calls that change something, in order; after the last all goes well.
    pub outcomes: VecDeque<Outcome>,
    /// The word in the arguments of a job that lets it fail.
    pub failing_job: String,
    /// What each resource that is there uses; not measured when absent.
    pub uses: Option<ResourceUse>,
}

/// What comes of a call that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Works,
    /// It fails before anything was done; another try may help.
    FailsBefore,
    /// It is done, and the answer is a failure.
    FailsAfter,
    /// It fails for good.
    Refuses,
    /// Nothing of the world serves from now on, and a job fails by that.
    Lapses,
}

#[derive(Debug)]
struct Thing {
    owner: ResourceId,
    spec: WorkloadSpec,
    since: Instant,
}

#[derive(Debug, Default)]
struct World {
    things: BTreeMap<(Name, Name), Thing>,
    outcomes: VecDeque<Outcome>,
    /// How often each thing was made.
    made: u64,
    /// Set while a job fails because nothing serves.
    lapsing: bool,
}

/// A provider in memory.
#[derive(Debug)]
pub struct SimulatedProvider {
    script: Script,
    world: Mutex<World>,
}

impl SimulatedProvider {
    /// A world that behaves like this.
    pub fn new(script: Script) -> Self {
        let world = World { outcomes: script.outcomes.clone(), ..World::default() };
        Self { script, world: Mutex::new(world) }
    }

    /// How many things were made so far, those that are gone included.
    pub fn made(&self) -> u64 {
        self.world().made
    }

    /// Names of all things that there are, of every resource, and of those that carry no id.
    pub fn things(&self) -> (Vec<String>, Vec<String>) {
        let world = self.world();
        let name = |(org, name): &(Name, Name)| format!("{org}/{name}");
        let untagged =
            world.things.iter().filter(|(_, thing)| !thing.spec.labels.contains_key(RESOURCE_LABEL));
        (world.things.keys().map(name).collect(), untagged.map(|(at, _)| name(at)).collect())
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work`, as far as the script lets it.
    async fn act<T>(
        &self,
        work: impl FnOnce(&mut World) -> Result<T, ProviderError> + Send,
    ) -> Result<T, ProviderError> {
        tokio::time::sleep(self.script.latency).await;
        let mut world = self.world();
        match world.outcomes.pop_front().unwrap_or(Outcome::Works) {
            Outcome::Works => work(&mut world),
            Outcome::FailsBefore => Err(ProviderError::temporary("the simulated provider did not answer")),
            Outcome::FailsAfter => {
                work(&mut world)?;
                Err(ProviderError::temporary(
                    "the simulated provider answered with an error after having acted",
                ))
            }
            Outcome::Lapses => {
                for thing in world.things.values_mut() {
                    thing.since = Instant::now() + LAPSE;
                }
                world.lapsing = true;
                let outcome = work(&mut world);
                world.lapsing = false;
                outcome
            }
            Outcome::Refuses => Err(ProviderError::lasting("the simulated provider refuses")),
        }
    }
}

fn put(world: &mut World, order: &Order, spec: &WorkloadSpec) -> Result<(), ProviderError> {
    let at = (order.resource.org.clone(), spec.name.clone());
    if let Some(known) = world.things.get_mut(&at) {
        if known.owner != order.resource.id {
            return Err(ProviderError::lasting(format!(
                "`{}` is there already and belongs to another",
                spec.name
            )));
        }
        if known.spec != *spec {
            known.spec = spec.clone();
            known.since = Instant::now();
        }
        return Ok(());
    }
    let thing = Thing { owner: order.resource.id.clone(), spec: spec.clone(), since: Instant::now() };
    world.things.insert(at, thing);
    world.made += 1;
    Ok(())
}

#[async_trait]
impl Provider for SimulatedProvider {
    fn id(&self) -> &'static str {
        "simulated"
    }

    async fn describe(&self) -> ProviderView {
        ProviderView {
            id: self.id().to_owned(),
            description: "a rehearsal: nothing it makes is real".to_owned(),
            available: true,
            message: String::new(),
            room: None,
            used: None,
            region: String::new(),
        }
    }

    async fn deploy(&self, order: &Order) -> Result<(), ProviderError> {
        self.act(|world| order.workloads.iter().try_for_each(|spec| put(world, order, spec))).await
    }

    async fn status(&self, resource: &ResourceRef) -> Result<Standing, ProviderError> {
        let world = self.world();
        let own = || world.things.values().filter(|thing| thing.owner == resource.id);
        if own().next().is_none() {
            return Ok(Standing::Absent);
        }
        if own().all(|thing| thing.since.elapsed() >= self.script.until_serving) {
            return Ok(Standing::Serving { host: "127.0.0.1".to_owned() });
        }
        Ok(Standing::Waiting { reason: "it is starting".to_owned() })
    }

    async fn rotate(&self, _order: &Order) -> Result<(), ProviderError> {
        self.act(|_| Ok(())).await
    }

    async fn run_job(&self, order: &Order) -> Result<JobOutcome, ProviderError> {
        let [job] = order.workloads.as_slice() else {
            return Err(ProviderError::lasting("a job is one workload"));
        };
        debug_assert_eq!(job.kind, WorkloadKind::Job);
        let words: Vec<String> = job
            .containers()
            .into_iter()
            .flat_map(|container| container.command.into_iter().chain(container.args))
            .collect();
        let failing = &self.script.failing_job;
        let fails = !failing.is_empty() && words.contains(failing);
        self.act(|world| {
            let fails = fails || world.lapsing;
            let said = if words.iter().any(|word| word == "univrs-backup") {
                r#"{"bytes": 0, "sha256": "simulated"}"#
            } else {
                "done"
            };
            Ok(JobOutcome {
                succeeded: !fails,
                last_lines: vec![if fails { "failed" } else { said }.to_owned()],
            })
        })
        .await
    }

    async fn destroy(&self, resource: &ResourceRef) -> Result<(), ProviderError> {
        self.act(|world| {
            world.things.retain(|_, thing| thing.owner != resource.id);
            Ok(())
        })
        .await
    }

    async fn logs(&self, _resource: &ResourceRef, _lines: usize) -> Result<Vec<String>, ProviderError> {
        Ok(vec!["simulated: nothing runs".to_owned()])
    }

    async fn metrics(&self, resource: &ResourceRef) -> Result<Option<ResourceUse>, ProviderError> {
        let there = self.world().things.values().any(|thing| thing.owner == resource.id);
        Ok(self.script.uses.clone().filter(|_| there))
    }

    async fn owned(&self, resource: &ResourceRef) -> Result<Vec<String>, ProviderError> {
        let world = self.world();
        let own = world.things.iter().filter(|(_, thing)| thing.owner == resource.id);
        Ok(own.map(|((_, name), _)| format!("workload/{name}")).collect())
    }
}
