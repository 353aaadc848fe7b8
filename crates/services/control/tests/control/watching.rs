//! Usage and alerts over a store in memory: two that lead at once, one that is stopped in between, and what is said twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use univrs_authz::Authorizer;
use univrs_control::{Control, Mirror, Resources, State, Watching, WriteOptions};
use univrs_image::SimulatedImages;
use univrs_model::Timestamp;
use univrs_model::alert::{AlertChannel, AlertSettings, AlertState, Notice, SilenceSpec};
use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_model::ids::{InstanceId, NodeId, OperationId, ResourceId};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::org::{Org, OrgChange};
use univrs_model::resource::{Resource, ResourceSpec};
use univrs_model::secret::SecretValue;
use univrs_model::span::Span;
use univrs_model::usage::{Measured, Meter};
use univrs_ports::clock::{Clock as _, ManualClock};
use univrs_ports::notify::{Notifier, NotifyError};
use univrs_ports::store::{Key, MemoryStore, Op, Prefix, StateStore, Txn};
use univrs_seal::ValidatorSealer;
use univrs_watch::statement::Statement;

use crate::harness::Nowhere;

const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(20);

/// Takes notices, unless it was told what to answer first.
#[derive(Default)]
struct Sink {
    answers: Mutex<VecDeque<Option<NotifyError>>>,
    got: Mutex<Vec<Notice>>,
    tried: Mutex<Vec<String>>,
}

#[async_trait]
impl Notifier for Sink {
    fn check(&self, _: &AlertChannel) -> Result<(), FieldError> {
        Ok(())
    }

    async fn deliver(
        &self,
        _: &AlertChannel,
        notice: &Notice,
        _: Option<&SecretValue>,
    ) -> Result<(), NotifyError> {
        self.tried.lock().unwrap().push(notice.id.clone());
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            None => {
                self.got.lock().unwrap().push(notice.clone());
                Ok(())
            }
            Some(Some(error)) => Err(error),
            // As one that hangs.
            Some(None) => std::future::pending().await,
        }
    }
}

impl Sink {
    fn states(&self) -> Vec<(String, AlertState)> {
        self.got.lock().unwrap().iter().map(|notice| (notice.id.clone(), notice.alert.state)).collect()
    }
}

pub(crate) struct World {
    store: Arc<dyn StateStore>,
    pub(crate) control: Control,
    pub(crate) clock: Arc<ManualClock>,
    sink: Arc<Sink>,
    shutdown: CancellationToken,
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl World {
    /// An organisation `default` in tier basic.
    pub(crate) async fn new(start: &str) -> Self {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::new(at(start)));
        let shutdown = CancellationToken::new();
        let mirror = Mirror::start(Arc::clone(&store), Vec::new(), shutdown.clone()).await.unwrap();
        let sealer = ValidatorSealer::new(NodeId::from_bits(1), &[7; 32]).unwrap();
        let control = Control::new(
            Arc::clone(&store),
            mirror,
            Arc::clone(&clock) as _,
            Arc::new(Nowhere),
            Arc::new(sealer),
            Arc::new(Authorizer::new().unwrap()),
        );
        let images = Some(Arc::new(SimulatedImages) as _);
        let control = control.with_resources(Resources::new(univrs_template::builtin(), Vec::new(), images));
        let world = Self { store, control, clock, sink: Arc::default(), shutdown };
        let org = Org {
            id: univrs_model::ids::OrgId::from_bits(1),
            name: Name::default_org(),
            created_at: at(start),
            tier: Some("basic".to_owned()),
        };
        world.put(keys::organisation(&org.name), &json!(org)).await;
        world.until("the organisation is known", |state| !state.orgs.is_empty()).await;
        world
    }

    pub(crate) async fn put(&self, key: String, value: &Value) {
        let key = Key::new(key).unwrap();
        self.store.txn(Txn::put(key, value.to_string().into_bytes())).await.unwrap();
    }

    async fn delete(&self, key: String) {
        let gone = Txn::default().then(Op::Delete(Key::new(key).unwrap()));
        self.store.txn(gone).await.unwrap();
    }

    pub(crate) async fn resource(&self, status: &str, cpu: &str) -> Resource {
        let amount = json!({"cpu": cpu, "memory": "1Gi", "storage": "2Gi"});
        let resource = json!({
            "id": ResourceId::from_bits(1), "org": "default", "name": "db", "template": "redis-small",
            "template_version": 1, "provider": "mesh", "status": status, "message": "nobody answers",
            "deployment": {"workloads": [], "footprint": {"limits": amount, "requests": amount}},
            "operation": OperationId::from_bits(1), "created_at": self.clock.now(), "updated_at": self.clock.now(),
        });
        let resource: Resource = serde_json::from_value(resource).unwrap();
        self.put(keys::resource(&resource.org, &resource.name), &json!(resource)).await;
        resource
    }

    /// A leader; it stops when the token is cancelled.
    pub(crate) fn lead(&self) -> CancellationToken {
        let stop = self.shutdown.child_token();
        let (leads, leading) = watch::channel(true);
        let watching = Watching::new(self.control.clone(), Arc::clone(&self.sink) as _).every(LOOK);
        let running = watching.run(leading, stop.clone());
        tokio::spawn(async move {
            let _leads = leads;
            running.await;
        });
        stop
    }

    pub(crate) async fn until(&self, what: &str, test: impl Fn(&State) -> bool) {
        let mut states = self.control.mirror().subscribe();
        let waited = tokio::time::timeout(PATIENCE, states.wait_for(|state| test(state))).await;
        assert!(waited.is_ok(), "waited too long until {what}");
    }

    /// Lets time go by until something is so.
    async fn as_time_goes_by(&self, what: &str, test: impl Fn() -> bool) {
        let begun = std::time::Instant::now();
        while !test() {
            assert!(begun.elapsed() < PATIENCE, "waited too long until {what}: {:?}", self.sink.states());
            self.clock.set(self.clock.now() + jiff::SignedDuration::from_secs(5));
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn statement(&self) -> Statement {
        self.control.usage(&Caller::local_admin(), None, None).await.unwrap()
    }

    async fn statement_of(&self, entries: u64) -> Statement {
        let begun = std::time::Instant::now();
        loop {
            let statement = self.statement().await;
            if statement.entries >= entries {
                return statement;
            }
            assert!(begun.elapsed() < PATIENCE, "waited too long for {entries} entries: {statement:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn told(&self) -> Caller {
        let admin = Caller::local_admin();
        let hook =
            AlertChannel::Webhook { name: "hook".parse().unwrap(), url: "https://example.org/".to_owned() };
        let settings = AlertSettings { channels: vec![hook], monthly_cost: None };
        self.control.set_alert_settings(&admin, settings, &*self.sink).await.unwrap();
        admin
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn amounts(statement: &Statement) -> BTreeMap<Meter, u64> {
    statement.lines.iter().map(|line| (line.meter, line.amount)).collect()
}

#[tokio::test]
async fn usage_is_taken_once_by_two_that_lead_and_costs_what_the_tier_says() {
    let world = World::new("2026-11-10T12:30:00Z").await;
    let (_one, _two) = (world.lead(), world.lead());
    let resource = world.resource("ACTIVE", "1").await;
    world.until("its size is counted", |state| state.allocations.len() == 1).await;
    assert_eq!(world.statement().await.entries, 0);

    // Half an hour of one core, 1 GiB and 2 GiB.
    world.clock.set(at("2026-11-10T13:00:10Z"));
    let first = world.statement_of(1).await;
    let expected =
        [(Meter::CpuLimit, 1_800_000), (Meter::MemoryLimit, 1024 * 1800), (Meter::StorageLimit, 2048 * 1800)];
    assert_eq!(amounts(&first), BTreeMap::from(expected));
    // 1,800,000 × 3600 + 1,843,200 × 1200 + 3,686,400 × 33, in 10^-12.
    assert_eq!(first.exact, "0.008813491200");

    // What a node measured comes once, even when it is said again.
    let (node, instance) = (NodeId::from_bits(7), InstanceId::from_bits(8));
    let begun = Measured::begun(
        instance.clone(),
        resource.id.clone(),
        resource.org.clone(),
        at("2026-11-10T12:30:00Z"),
    );
    let measured = Measured {
        through: at("2026-11-10T13:00:05Z"),
        closed: true,
        cpu_micros: 5_000_000,
        memory_byte_millis: 3 * 1024 * 1024 * 1000,
        network_in: 11,
        network_out: 1_000_000,
        requests: Some(40),
        ..begun
    };
    let place = keys::measured(&node, measured.window, &instance);
    world.put(place.clone(), &json!(measured)).await;
    let second = world.statement_of(2).await;
    let used = amounts(&second);
    assert_eq!(
        (used[&Meter::CpuUsed], used[&Meter::MemoryUsed], used[&Meter::NetworkOut], used[&Meter::Requests]),
        (5000, 3, 1_000_000, 40)
    );
    // 1,000,000 bytes × 20.
    assert_eq!(second.exact, "0.008833491200");
    world.put(place, &json!(Measured { network_out: 9_000_000, ..measured })).await;
    world.until("it was looked at", |state| state.measured.is_empty()).await;
    assert_eq!(world.statement().await, second);

    // A change of size, of tier, and the end.
    world.clock.set(at("2026-11-10T13:10:00Z"));
    world.resource("ACTIVE", "2").await;
    let third = world.statement_of(3).await;
    assert_eq!(amounts(&third)[&Meter::CpuLimit], 1_800_000 + 600_000);
    let change = OrgChange { tier: "free".to_owned() };
    world.control.change_org(&Caller::local_admin(), "default", &change).await.unwrap();
    world.clock.set(at("2026-11-10T13:20:00Z"));
    world.delete(keys::resource(&resource.org, &resource.name)).await;
    let last = world.statement_of(4).await;
    assert_eq!(last.exact, third.exact, "what was free cost nothing");
    let free: u64 = last
        .lines
        .iter()
        .filter(|line| line.tier == "free" && line.meter == Meter::CpuLimit)
        .map(|line| line.amount)
        .sum();
    assert_eq!(free, 2 * 600_000);
    world.until("nothing is counted any more", |state| state.allocations.is_empty()).await;

    // The events say the same, in pages.
    let mut events = Vec::new();
    let mut cursor = None;
    loop {
        let page = world.control.usage_events(&Caller::local_admin(), (None, None), cursor, 1).await.unwrap();
        events.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| (&event.source, &event.id)).collect();
    assert_eq!(ids.len(), events.len());
    let sum: u64 = events
        .iter()
        .filter(|event| event.data.meter == Meter::CpuLimit)
        .map(|event| event.data.amount)
        .sum();
    assert_eq!(
        sum,
        last.lines.iter().filter(|line| line.meter == Meter::CpuLimit).map(|line| line.amount).sum::<u64>()
    );
    assert_eq!(last.entries, 4);
    let elsewhere = Some(at("2026-12-01T00:00:00Z"));
    assert_eq!(world.control.usage(&Caller::local_admin(), elsewhere, None).await.unwrap().entries, 0);
}

#[tokio::test]
async fn an_alert_reaches_its_channel_through_failures_and_another_leader() {
    let world = World::new("2026-11-10T12:00:00Z").await;
    world.told().await;
    let failure = |temporary| Some(NotifyError { reason: "it is down".to_owned(), temporary });
    *world.sink.answers.lock().unwrap() = [failure(true), failure(true), None].into();
    world.resource("DEGRADED", "1").await;
    let first = world.lead();
    // Two failures, then one that hangs, in the middle of which the leader goes.
    let tried = |times: usize| world.sink.tried.lock().unwrap().len() >= times;
    world.as_time_goes_by("it was tried three times", || tried(3)).await;
    first.cancel();
    assert!(world.sink.states().is_empty());
    world.lead();
    world.as_time_goes_by("it arrived", || !world.sink.got.lock().unwrap().is_empty()).await;
    let id = format!("resource_down-{}-1", ResourceId::from_bits(1));
    assert_eq!(world.sink.states(), [(id.clone(), AlertState::Firing)]);
    assert!(world.sink.tried.lock().unwrap().iter().all(|tried| *tried == id), "one id for all tries");
    world.until("it is not delivered again", |state| state.deliveries.is_empty()).await;
    let message = world.sink.got.lock().unwrap()[0].alert.message.clone();
    assert_eq!(message, "db does not serve: nobody answers");

    world.resource("ACTIVE", "1").await;
    world.as_time_goes_by("its end was told", || world.sink.states().len() == 2).await;
    assert_eq!(world.sink.states()[1], (id.replace("-1", "-2"), AlertState::Resolved));
}

#[tokio::test]
async fn a_silenced_alert_is_shown_and_not_told_and_a_refused_notice_leaves_an_event() {
    let world = World::new("2026-11-10T12:00:00Z").await;
    let admin = world.told().await;
    let refused = NotifyError { reason: "it is no public address".to_owned(), temporary: false };
    *world.sink.answers.lock().unwrap() = [Some(refused)].into();
    world.resource("DEGRADED", "1").await;
    world.lead();
    world.as_time_goes_by("it was tried", || world.sink.tried.lock().unwrap().len() == 1).await;
    world.until("it was given up", |state| state.deliveries.is_empty() && !state.alerts.is_empty()).await;
    let events = world.control.list_events(&admin, None, 100).await.unwrap().items;
    assert!(
        events.iter().any(|view| view.event.message.contains("did not reach hook: it is no public address"))
    );

    let (alerts, _) = world.control.list_alerts(&admin).unwrap();
    let id = alerts[0].id.clone();
    let wrong =
        world.control.silence_alert(&admin, "nothing", &SilenceSpec { lasts: Span::seconds(1) }).await;
    assert!(wrong.unwrap_err().to_string().contains("nothing"));
    let day = SilenceSpec { lasts: Span::seconds(24 * 3600) };
    world.control.silence_alert(&admin, &id, &day).await.unwrap();
    world.resource("ACTIVE", "1").await;
    let over = || world.control.list_alerts(&admin).unwrap().0[0].state == AlertState::Resolved;
    world.as_time_goes_by("it is over", over).await;
    assert_eq!(world.sink.tried.lock().unwrap().len(), 1);
    assert!(world.control.mirror().state().deliveries.is_empty());
    let left = world
        .store
        .range(
            &Prefix::new("org/default/alert/"),
            univrs_ports::store::Page::all(),
            univrs_ports::store::Consistency::LOCAL,
        )
        .await;
    assert_eq!(left.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_tier_bounds_what_is_made_and_a_plan_says_what_it_costs() {
    let world = World::new("2026-11-10T12:00:00Z").await;
    let admin = Caller::local_admin();
    let change = |tier: &str| OrgChange { tier: tier.to_owned() };
    let wrong = world.control.change_org(&admin, "default", &change("gold")).await.unwrap_err();
    assert!(wrong.to_string().contains("there is no tier `gold`"), "{wrong}");
    world.control.change_org(&admin, "default", &change("free")).await.unwrap();
    let make = async |template: &str, parameters: Value| {
        let spec: ResourceSpec =
            serde_json::from_value(json!({"name": "db", "template": template, "parameters": parameters}))
                .unwrap();
        world.control.create_resource(&admin, &spec, &WriteOptions::default()).await.unwrap_err().to_string()
    };
    let refused = make("postgres-medium", json!({})).await;
    assert!(refused.contains("tier free of default does not have postgres-medium"), "{refused}");
    world.resource("ACTIVE", "2").await;
    world.until("it is known", |state| state.resources.len() == 1).await;
    let spec = json!({"name": "other", "template": "small-storage", "parameters": {}});
    let spec: ResourceSpec = serde_json::from_value(spec).unwrap();
    let refused = world.control.create_resource(&admin, &spec, &WriteOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("tier free: cpu: 2 used and"), "{refused}");
}
