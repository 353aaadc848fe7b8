//! A control node: a picture of the state and the loop that decides, in a process that can crash at any write.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use univrs_control::{Inbox, Mirror, Reconciler};
use univrs_ports::clock::Clock;
use univrs_ports::store::StateStore;

use super::chance::{Chance, SkewedClock};
use super::hub::Hub;
use super::link::{Life, Line, Link, Linked, NEVER, Plant};

/// One control node.
pub(crate) struct Planner {
    pub(crate) line: Arc<Line>,
    leading: watch::Sender<bool>,
    clock: Arc<SkewedClock>,
    process: Option<(Arc<Life>, CancellationToken, Arc<Link>)>,
    hub: Hub,
    chance: Chance,
    plant: Plant,
}

impl Planner {
    pub(crate) fn new(hub: &Hub, chance: &Chance, plant: Plant) -> Self {
        let skew = i64::try_from(chance.below(20_000)).unwrap() - 10_000;
        Self {
            line: Arc::default(),
            leading: watch::channel(false).0,
            clock: SkewedClock::new(tokio::time::Instant::now(), skew),
            process: None,
            hub: hub.clone(),
            chance: chance.clone(),
            plant,
        }
    }

    pub(crate) fn lead(&self, leads: bool) {
        self.leading.send_replace(leads);
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.as_ref().is_some_and(|(life, _, _)| !life.is_over())
    }

    pub(crate) fn start(&mut self) {
        if self.runs() {
            return;
        }
        self.kill();
        let (life, shutdown) = (Arc::new(Life::default()), CancellationToken::new());
        let link = Link::new(&self.hub, &self.line, &life, &self.chance, self.plant);
        self.process = Some((life, shutdown.clone(), Arc::clone(&link)));
        let (clock, leading) = (Arc::clone(&self.clock) as Arc<dyn Clock>, self.leading.subscribe());
        let chance = self.chance.clone();
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(async move {
            let store: Arc<dyn StateStore> = Arc::new(Linked(Arc::clone(&link)));
            let inbox = Inbox::default();
            let mirror = loop {
                match Mirror::start(Arc::clone(&store), vec![inbox.clone()], shutdown.clone()).await {
                    Ok(mirror) => break mirror,
                    Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
                }
            };
            drop(link.decides_from.set(mirror.clone()));
            let ids = move || chance.draw(rand::RngExt::random);
            let reconciler = Reconciler::new(store, mirror, inbox, clock, leading).with_seeds(ids);
            reconciler.run(shutdown).await;
        }));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some((life, shutdown, _)) = self.process.take() {
            life.end();
            shutdown.cancel();
        }
    }

    /// Crashes at one of its next writes.
    pub(crate) fn crash_after(&self, writes: u64) {
        if let Some((_, _, link)) = &self.process {
            link.writes_left.store(writes, Ordering::SeqCst);
        }
    }

    pub(crate) fn calm(&self) {
        self.crash_after(NEVER);
    }
}
