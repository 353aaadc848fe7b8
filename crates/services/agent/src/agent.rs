//! Registers the node, keeps its lease, adopts what runs, and hands orders to the drivers of instances.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_model::Timestamp;
use univrs_model::ids::InstanceId;
use univrs_model::instance::Observation;
use univrs_model::node::Node;
use univrs_ports::clock::Clock;
use univrs_ports::control_plane::{ControlPlane, ControlPlaneError, OrderChanges};
use univrs_ports::images::Images;
use univrs_ports::keepsake::Keepsake;
use univrs_ports::network::{Attachment, Network};
use univrs_ports::runtime::{Runtime, RuntimeInventory};
use univrs_ports::volumes::Volumes;

use crate::alone::Guard;
use crate::driver::Adopted;
use crate::drivers::{Drivers, Start};
use crate::images::{ImageKeeper, OnCollected};
use crate::measure::Measuring;
use crate::reporter::Reporter;
use crate::secrets::Secrets;
use crate::volumes;

/// How often the node says that it is alive: four times within its lease.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// How long saying so may take before it counts as not heard.
const ANSWER: Duration = Duration::from_millis(2500);
/// Drivers count by the time of day. When somebody sets it by more than this while the node is cut off, they are told.
const DRIFT: SignedDuration = SignedDuration::from_millis(500);
/// Pause before trying again to reach the control plane or the runtime.
pub(crate) const RETRY: Duration = Duration::from_millis(500);

/// What a node that runs containers has for it.
#[derive(Clone)]
pub struct Machine {
    /// Runs containers.
    pub runtime: Arc<dyn Runtime>,
    /// Brings images.
    pub images: Arc<dyn Images>,
    /// Gives addresses.
    pub network: Arc<dyn Network>,
    /// Where files of instances lie.
    pub instances_dir: PathBuf,
    /// Where volumes lie.
    pub volumes_dir: PathBuf,
    /// Makes, bounds and removes them there.
    pub volumes: Arc<dyn Volumes>,
    /// Directories of this machine that workloads may bind, with all below them.
    pub bind_paths: Vec<PathBuf>,
    /// Where secrets come from and where their files go.
    pub secrets: Secrets,
}

/// What an agent works with.
pub struct AgentOptions {
    /// The node as it describes itself.
    pub node: Node,
    /// The control plane.
    pub control: Arc<dyn ControlPlane>,
    /// What it runs containers with; absent on a node that runs none.
    pub machine: Option<Machine>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Ends what may not run alone until the drivers have taken over.
    pub guard: Guard,
    /// Told of images that were removed because nobody needs them.
    pub on_collected: OnCollected,
}

/// The node's side of the cluster.
pub struct Agent {
    node: Node,
    control: Arc<dyn ControlPlane>,
    machine: Option<Machine>,
    clock: Arc<dyn Clock>,
    guard: Guard,
    on_collected: OnCollected,
}

impl Agent {
    /// An agent; nothing happens before [`Agent::run`].
    pub fn new(options: AgentOptions) -> Self {
        let AgentOptions { node, control, machine, clock, guard, on_collected } = options;
        Self { node, control, machine, clock, guard, on_collected }
    }

    /// Runs until `shutdown`. Containers keep running then.
    pub async fn run(self, shutdown: CancellationToken) {
        let (cut_off, cut_off_seen) = watch::channel(None);
        let tasks = TaskTracker::new();
        let alive = KeepAlive {
            node: self.node.clone(),
            control: Arc::clone(&self.control),
            clock: Arc::clone(&self.clock),
            keepsake: self.guard.keepsake(),
        };
        let Some(registered) = shutdown.run_until_cancelled(alive.register()).await else { return };
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(alive.run(registered, cut_off)));
        if let Some(machine) = self.machine.clone() {
            let reporter = Reporter::default();
            // The reporter stops after the drivers, so that their last words are told.
            let told = CancellationToken::new();
            let reporting = tokio::spawn(reporter.clone().run(
                self.node.id.clone(),
                Arc::clone(&self.control),
                told.clone(),
            ));
            let keeper = ImageKeeper {
                node: self.node.id.clone(),
                machine: machine.clone(),
                control: Arc::clone(&self.control),
                clock: Arc::clone(&self.clock),
                reporter: reporter.clone(),
                told: Arc::clone(&self.on_collected),
            };
            tasks.spawn(shutdown.clone().run_until_cancelled_owned(keeper.run()));
            let removing = volumes::remove_unwanted(
                self.node.id.clone(),
                Arc::clone(&self.control),
                Arc::clone(&machine.volumes),
            );
            tasks.spawn(shutdown.clone().run_until_cancelled_owned(removing));
            let measuring = Measuring {
                node: self.node.id.clone(),
                machine: machine.clone(),
                control: Arc::clone(&self.control),
                clock: Arc::clone(&self.clock),
            };
            tasks.spawn(shutdown.clone().run_until_cancelled_owned(measuring.run()));
            self.drive(machine, &reporter, cut_off_seen, &tasks, &shutdown).await;
            tasks.close();
            tasks.wait().await;
            told.cancel();
            if reporting.await.is_err() {
                tracing::error!("the reporter ended by a panic");
            }
        } else {
            shutdown.cancelled().await;
            tasks.close();
            tasks.wait().await;
        }
    }

    async fn drive(
        &self,
        machine: Machine,
        reporter: &Reporter,
        mut cut_off: watch::Receiver<Option<Timestamp>>,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        // Listening comes before looking, so that no ending falls between.
        let mut endings = machine.runtime.endings();
        let Some(found) = shutdown.run_until_cancelled(self.adopt(&machine)).await else { return };
        machine.secrets.keep_only(|id| found.contains_key(id));
        let mut orders = self.control.orders(&self.node.id);
        let start = Start {
            node: self.node.id.clone(),
            machine,
            clock: Arc::clone(&self.clock),
            keepsake: self.guard.keepsake(),
            reporter: reporter.clone(),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        };
        let (mut drivers, mut ended) = Drivers::new(start, found, *cut_off.borrow_and_update());
        // When to try again what could not be done.
        let mut again: Option<Instant> = None;
        loop {
            // In order, and drivers one after the other, so that a run can be repeated.
            let next = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = cut_off.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    drivers.cut_off(*cut_off.borrow_and_update());
                    continue;
                }
                something = endings.next() => {
                    if let Some(id) = something {
                        drivers.look(&id.instance);
                    }
                    continue;
                }
                driver = ended.recv() => {
                    if let Some(instance) = driver {
                        drivers.ended(&instance);
                    }
                    continue;
                }
                next = orders.next() => {
                    let Some(next) = next else { return };
                    next
                }
                () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                    OrderChanges::new()
                }
            };
            again = drivers.obey(next).then(|| Instant::now() + RETRY);
            // From here on they know themselves when the node is cut off.
            self.guard.end();
        }
    }

    /// Everything that is already here: what runs, its addresses, and what was last said of it.
    async fn adopt(&self, machine: &Machine) -> BTreeMap<InstanceId, Adopted> {
        loop {
            match self.look_around(machine).await {
                Ok((inventory, attached, reported)) => return gather(inventory, attached, reported),
                Err(reason) => {
                    tracing::warn!(reason, "cannot see yet what runs here; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn look_around(
        &self,
        machine: &Machine,
    ) -> Result<(RuntimeInventory, Vec<Attachment>, Vec<Observation>), String> {
        let inventory = machine.runtime.list().await.map_err(|error| error.to_string())?;
        let attached = machine.network.attached().await.map_err(|error| error.to_string())?;
        let reported = self.control.reported(&self.node.id).await.map_err(|error| error.to_string())?;
        Ok((inventory, attached, reported))
    }
}

fn gather(
    inventory: RuntimeInventory,
    attached: Vec<Attachment>,
    reported: Vec<Observation>,
) -> BTreeMap<InstanceId, Adopted> {
    let mut found: BTreeMap<InstanceId, Adopted> = BTreeMap::new();
    for instance in inventory.sandboxes {
        found.entry(instance).or_default().sandbox = true;
    }
    for container in inventory.containers {
        found.entry(container.id.instance.clone()).or_default().containers.push(container);
    }
    for attachment in attached {
        let instance = attachment.instance.clone();
        found.entry(instance).or_default().attachment = Some(attachment);
    }
    for observation in reported {
        let instance = observation.id.clone();
        found.entry(instance).or_default().observation = Some(observation);
    }
    found
}

struct KeepAlive {
    node: Node,
    control: Arc<dyn ControlPlane>,
    clock: Arc<dyn Clock>,
    keepsake: Arc<dyn Keepsake>,
}

impl KeepAlive {
    /// Makes the node known; tries until it works. Answers when that attempt began.
    async fn register(&self) -> Duration {
        loop {
            let asked = self.keepsake.uptime();
            match self.control.register(&self.node).await {
                Ok(()) => {
                    self.keepsake.hear(asked);
                    return asked;
                }
                Err(error) => tracing::warn!(%error, "cannot register; trying again"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Renews the lease, and says since when the control plane has not been heard: since before the last sign of life
    /// that it surely took in, so that the node never believes in its lease for longer than the control plane does. The
    /// same is noted on the machine, for the process after this one.
    async fn run(self, registered: Duration, cut_off: watch::Sender<Option<Timestamp>>) {
        let mut tick = tokio::time::interval(KEEP_ALIVE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = registered;
        loop {
            tick.tick().await;
            let asked = self.keepsake.uptime();
            let heard = tokio::time::timeout(ANSWER, self.renew()).await.unwrap_or_else(|_| {
                tracing::warn!("the control plane does not answer in time");
                false
            });
            if heard {
                last = asked;
                self.keepsake.hear(asked);
            }
            let unheard = self.keepsake.uptime().saturating_sub(last);
            let fresh = self.clock.now() - SignedDuration::try_from(unheard).unwrap_or_default();
            cut_off.send_if_modified(|since| {
                let next =
                    if heard { None } else { since.filter(|since| near(*since, fresh)).or(Some(fresh)) };
                std::mem::replace(since, next) != *since
            });
        }
    }

    async fn renew(&self) -> bool {
        match self.control.keep_alive(&self.node.id).await {
            Ok(()) => true,
            Err(ControlPlaneError::Refused { reason, .. }) => {
                tracing::info!(reason, "registering again");
                self.control.register(&self.node).await.is_ok()
            }
            Err(error @ ControlPlaneError::Unavailable { .. }) => {
                tracing::warn!(%error, "the control plane does not answer");
                false
            }
        }
    }
}

fn near(one: Timestamp, other: Timestamp) -> bool {
    one.duration_since(other).abs() < DRIFT
}
