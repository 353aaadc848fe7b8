//! Resources over the simulated provider: every crash, every failure, and what is refused before anything is made.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use univrs_authz::Authorizer;
use univrs_control::{
    Control, Error, Idempotency, Inbox, Mirror, OperationRunner, ResourceUpkeep, Resources, RestoreSpec,
    ScaleSpec, WriteOptions, resource_kinds,
};
use univrs_model::caller::{Caller, Grant};
use univrs_model::event::EventKind;
use univrs_model::ids::NodeId;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::operation::OperationStatus;
use univrs_model::resource::{Quota, ResourceSpec, ResourceStatus, ResourceView};
use univrs_ports::clock::SystemClock;
use univrs_ports::provider::Provider;
use univrs_ports::seal::Sealer as _;
use univrs_ports::store::{Key, MemoryStore, StateStore, Txn};
use univrs_provider::simulated::{Outcome, Script, SimulatedProvider};
use univrs_seal::ValidatorSealer;

use crate::harness::{Nowhere, token};
use crate::mortal::Mortal;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A template that is backed up, and whose credentials are replaced, by themselves: at a year's turn, and after 300 days.
const SAVED: &str = r#"
id = "saved"
name = "Saved"
kind = "DATABASE"
version = 1
description = "A service that is looked after."
rotate_after = "300d"
images.web = { official = "web:1" }
secrets.logins = { kind = "logins", user = "app" }
[[workloads]]
name = "{{name}}"
containers = [{ name = "web", image = "{{image.web}}", limits = { cpu = "1", memory = "64Mi" } }]
[backup]
keep = 3
schedule = "0 0 1 1 *"
job = { name = "{{name}}-backup", kind = "job", containers = [{ name = "backup", image = "web:1", command = ["univrs-backup", "{{backup.id}}"] }] }
restore = { name = "{{name}}-backup", kind = "job", containers = [{ name = "restore", image = "web:1", command = ["restore", "{{backup.id}}", "{{backup.to_time}}"] }] }
"#;

/// One control node: what it shares with others is the store and the provider.
pub(crate) struct ControlNode {
    pub(crate) control: Control,
    runner: JoinHandle<()>,
    shutdown: CancellationToken,
    /// It leads for as long as this is there.
    _leads: watch::Sender<bool>,
}

impl ControlNode {
    pub(crate) async fn start(store: &Arc<dyn StateStore>, provider: &Arc<SimulatedProvider>) -> Self {
        Self::start_with(store, Arc::clone(provider) as _, univrs_template::builtin()).await
    }

    pub(crate) async fn start_with(
        store: &Arc<dyn StateStore>,
        provider: Arc<dyn Provider>,
        templates: Vec<univrs_template::Template>,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let validator = NodeId::from_bits(1);
        let sealer = ValidatorSealer::new(validator.clone(), &[7; 32]).unwrap();
        let key = Key::new(keys::validator_key(&validator)).unwrap();
        // Secrets are sealed for validators that are known; a second start finds it there.
        store.txn(Txn::create(key, serde_json::to_vec(&sealer.public_key()).unwrap())).await.unwrap();
        let inbox = Inbox::default();
        let mirror = Mirror::start(Arc::clone(store), vec![inbox.clone()], shutdown.clone()).await.unwrap();
        let clock = Arc::new(SystemClock);
        let authorizer = Arc::new(Authorizer::new().unwrap());
        let control = Control::new(
            Arc::clone(store),
            mirror.clone(),
            clock.clone(),
            Arc::new(Nowhere),
            Arc::new(sealer),
            authorizer,
        );
        let mut templates = templates;
        templates.push(univrs_template::Template::read(SAVED).unwrap());
        let resources = Resources::new(templates, vec![provider], None);
        let control = control.with_resources(resources);
        let (leads, leading) = watch::channel(true);
        let kinds = resource_kinds(&control);
        let runner = OperationRunner::new(Arc::clone(store), mirror, inbox, clock, kinds, leading);
        let runner = tokio::spawn(runner.run(shutdown.clone()));
        Self { control, runner, shutdown, _leads: leads }
    }

    /// As `kill -9`: nothing of it goes on.
    pub(crate) async fn crash(mut self) {
        self.runner.abort();
        assert!((&mut self.runner).await.is_err_and(|error| error.is_cancelled()));
    }

    pub(crate) async fn until(&self, what: &str, test: impl Fn(Option<ResourceView>) -> bool) {
        let mut states = self.control.mirror().subscribe();
        let wait = async {
            while !test(self.control.get_resource(&Caller::local_admin(), "db").ok()) {
                states.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!(
                "waited too long until {what}: {:?}",
                self.control.get_resource(&Caller::local_admin(), "db")
            );
        }
    }

    pub(crate) async fn create(&self) -> Result<univrs_control::Begun, Error> {
        self.control.create_resource(&Caller::local_admin(), &spec(), &WriteOptions::default()).await
    }

    pub(crate) async fn active(&self) {
        self.until("it is active", |view| view.is_some_and(|view| view.status == ResourceStatus::Active))
            .await;
    }

    /// Returns when no operation runs.
    async fn settle(&self) {
        let mut states = self.control.mirror().subscribe();
        let settled = states.wait_for(|state| {
            state.operations.values().all(|known| known.status != OperationStatus::Running)
        });
        tokio::time::timeout(PATIENCE, settled).await.unwrap().unwrap();
    }

    pub(crate) async fn ended(&self, id: &univrs_model::ids::OperationId) -> OperationStatus {
        let mut states = self.control.mirror().subscribe();
        let ended = states.wait_for(|state| {
            state.operations.get(id).is_some_and(|known| known.status != OperationStatus::Running)
        });
        let state = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap().clone();
        state.operations[id].status
    }
}

impl Drop for ControlNode {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn spec() -> ResourceSpec {
    serde_json::from_value(json!({"name": "db", "template": "object-storage-small", "provider": "simulated"}))
        .unwrap()
}

pub(crate) fn world(script: Script) -> (Arc<dyn StateStore>, Arc<SimulatedProvider>) {
    (Arc::new(MemoryStore::new()), Arc::new(SimulatedProvider::new(script)))
}

/// Nothing of a resource is left but, where it failed, its record.
pub(crate) fn nothing_is_left(node: &ControlNode, provider: &SimulatedProvider) {
    let state = node.control.mirror().state();
    assert_eq!(provider.things().0, Vec::<String>::new());
    assert!(state.secrets.is_empty() && state.resource_ports.is_empty() && state.workloads.is_empty());
}

/// Lets the control node die before its write number `writes` while it makes or removes a resource, and another go on.
/// Answers whether it died before the end.
async fn crash_while(create: bool, writes: u64) -> bool {
    let (store, provider) = world(Script { until_serving: Duration::from_millis(30), ..Script::default() });
    if !create {
        let before = ControlNode::start(&store, &provider).await;
        before.create().await.unwrap();
        before.active().await;
        before.settle().await;
    }
    // Its first writes say which validator it is, and begin the change.
    let mortal = Mortal::after(&store, 2 + writes);
    let dying: Arc<dyn StateStore> = Arc::clone(&mortal) as _;
    let first = ControlNode::start(&dying, &provider).await;
    let begun = if create {
        first.create().await.unwrap()
    } else {
        first.control.delete_resource(&Caller::local_admin(), "db").await.unwrap()
    };
    let id = begun.operation.operation.id.clone();
    let died = tokio::select! {
        () = mortal.front.ended.notified() => true,
        _ = first.ended(&id) => false,
    };
    first.crash().await;
    let second = ControlNode::start(&store, &provider).await;
    assert_eq!(second.ended(&id).await, OperationStatus::Succeeded, "after {writes} writes");
    let events = second.control.list_events(&Caller::local_admin(), None, 1000).await.unwrap().items;
    let (kind, doing) =
        (EventKind::OperationEnded, if create { "resource create" } else { "resource delete" });
    let ends = events.iter().filter(|view| view.event.kind == kind && view.event.message.starts_with(doing));
    assert_eq!(ends.count(), 1, "an end is told once, after {writes} writes");
    let (things, untagged) = provider.things();
    assert_eq!(untagged, Vec::<String>::new());
    assert_eq!(provider.made(), 1, "something was made twice after {writes} writes");
    if create {
        second.active().await;
        assert_eq!(things, ["default/db"]);
        let state = second.control.mirror().state();
        assert_eq!((state.secrets.len(), state.resource_ports.len()), (2, 1));
    } else {
        nothing_is_left(&second, &provider);
        assert!(second.control.get_resource(&Caller::local_admin(), "db").is_err());
    }
    died
}

/// The control node is killed before each write of an operation, and another goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_every_step_leaves_one_resource_or_none() {
    for (create, least) in [(true, 16), (false, 10)] {
        let crashes = futures::future::join_all((0..26).map(|writes| crash_while(create, writes))).await;
        let died = crashes.iter().filter(|died| **died).count();
        assert!(died >= least, "only {died} died before the end");
        assert!(crashes.last() == Some(&false), "there are more writes than were tried");
    }
}

#[tokio::test]
async fn what_fails_is_taken_back_and_says_at_which_stage() {
    let (store, provider) = world(Script { outcomes: [Outcome::Refuses].into(), ..Script::default() });
    let node = ControlNode::start(&store, &provider).await;
    let begun = node.create().await.unwrap();
    assert_eq!(node.ended(&begun.operation.operation.id).await, OperationStatus::Undone);
    let view = node.control.get_resource(&Caller::local_admin(), "db").unwrap();
    assert_eq!((view.status, view.stage.as_str()), (ResourceStatus::Failed, "failed"));
    assert!(view.message.contains("deploy it through its provider"), "{}", view.message);
    nothing_is_left(&node, &provider);
    // What failed can be removed, and its name used again.
    let removal = node.control.delete_resource(&Caller::local_admin(), "db").await.unwrap();
    assert_eq!(node.ended(&removal.operation.operation.id).await, OperationStatus::Succeeded);
    node.create().await.unwrap();
    node.active().await;
}

#[tokio::test]
async fn an_answer_with_an_error_after_having_acted_makes_nothing_twice() {
    let (store, provider) = world(Script { outcomes: [Outcome::FailsAfter].into(), ..Script::default() });
    let node = ControlNode::start(&store, &provider).await;
    node.create().await.unwrap();
    node.active().await;
    assert_eq!(provider.made(), 1);
}

/// A backup of what lapses while it is made is made by another try; one of what serves fails with what the job said.
#[tokio::test]
async fn a_job_that_fails_because_nothing_serves_is_tried_again() {
    for (outcome, ends) in
        [(Outcome::Lapses, OperationStatus::Succeeded), (Outcome::Works, OperationStatus::Undone)]
    {
        // The word fails the job in the second turn only.
        let failing_job = if outcome == Outcome::Works { "univrs-backup" } else { "" }.to_owned();
        let outcomes = [Outcome::Works, outcome].into();
        let until_serving = Duration::from_millis(20);
        let (store, provider) = world(Script { outcomes, failing_job, until_serving, ..Script::default() });
        let node = ControlNode::start(&store, &provider).await;
        let caller = Caller::local_admin();
        let spec = json!({"name": "db", "template": "saved", "provider": "simulated"});
        let spec = serde_json::from_value(spec).unwrap();
        node.control.create_resource(&caller, &spec, &WriteOptions::default()).await.unwrap();
        node.active().await;
        node.settle().await;
        let begun = node.control.back_up_resource(&caller, "db").await.unwrap();
        assert_eq!(node.ended(&begun.operation.operation.id).await, ends, "{outcome:?}");
        let backups = node.control.get_resource(&caller, "db").unwrap().backups.len();
        assert_eq!(backups, usize::from(ends == OperationStatus::Succeeded));
    }
}

#[tokio::test]
async fn removing_stops_what_is_under_way_and_happens_once() {
    let (store, provider) = world(Script { until_serving: Duration::from_secs(600), ..Script::default() });
    let node = ControlNode::start(&store, &provider).await;
    let admin = Caller::local_admin();
    let made = node.create().await.unwrap();
    node.until("it waits until it serves", |view| view.is_some_and(|view| view.stage == "verify")).await;
    let (one, two) =
        tokio::join!(node.control.delete_resource(&admin, "db"), node.control.delete_resource(&admin, "db"));
    let ids: Vec<_> =
        [one, two].into_iter().filter_map(Result::ok).map(|begun| begun.operation.operation.id).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(node.ended(&ids[0]).await, OperationStatus::Succeeded);
    assert_eq!(node.ended(&made.operation.operation.id).await, OperationStatus::Cancelled);
    nothing_is_left(&node, &provider);
}

#[tokio::test]
async fn a_request_that_is_repeated_begins_one_change() {
    let (store, provider) = world(Script::default());
    let node = ControlNode::start(&store, &provider).await;
    let admin = Caller::local_admin();
    node.create().await.unwrap();
    node.active().await;
    node.settle().await;
    let keyed = |fingerprint: &str| {
        let idempotency = Idempotency { key: "once".to_owned(), fingerprint: fingerprint.to_owned() };
        node.control.under(WriteOptions { if_revision: None, idempotency: Some(idempotency) })
    };
    assert!(keyed("a").begun_before(&admin).await.unwrap().is_none());
    let begun = keyed("a").rotate_resource(&admin, "db").await.unwrap().operation.operation.id;
    assert_eq!(node.ended(&begun).await, OperationStatus::Succeeded);
    let again = keyed("a").begun_before(&admin).await.unwrap().unwrap();
    assert_eq!(again.operation.operation.id, begun, "what the first request began is answered again");
    let other = keyed("b").begun_before(&admin).await;
    assert!(matches!(other, Err(Error::KeyReused { .. })), "{other:?}");
    let old = node.control.under(WriteOptions { if_revision: Some(1), idempotency: None });
    let stale = old.rotate_resource(&admin, "db").await;
    assert!(matches!(stale, Err(Error::Stale { .. })), "{stale:?}");
}

#[tokio::test]
async fn credentials_are_shown_to_whom_may_see_them_and_nowhere_else() {
    let (store, provider) = world(Script::default());
    let node = ControlNode::start(&store, &provider).await;
    node.create().await.unwrap();
    node.active().await;
    let admin = Caller::local_admin();
    let shown = node.control.resource_credentials(&admin, "db").await.unwrap();
    let key = shown.expose()["secretKey"].as_str().unwrap().to_owned();
    assert_eq!(key.len(), 32);
    assert_eq!(shown.expose()["endpoint"], "http://127.0.0.1:19001");
    assert!(!format!("{shown:?}").contains(&key));
    assert!(!format!("{:?}", node.control.mirror().state()).contains(&key), "the key is in the state");
    let denied = node.control.resource_credentials(&token(5, Grant::Observe), "db").await;
    assert!(matches!(denied, Err(Error::Denied { .. })));
    let audit = node.control.list_audit(&admin, None, 1000).await.unwrap();
    let shows = audit.items.iter().filter(|view| view.entry.action == "resource_credentials").count();
    assert_eq!(shows, 1);
}

#[tokio::test]
async fn what_is_refused_makes_nothing() {
    let (store, provider) = world(Script::default());
    let node = ControlNode::start(&store, &provider).await;
    let admin = Caller::local_admin();
    for (body, field, words) in [
        (json!({"name": "db", "template": "postgres-smal"}), "template", "no template"),
        (json!({"name": "db", "template": "postgres-small"}), "template", "is not on this machine"),
        (json!({"name": "db", "template": "univrs-node", "provider": "mash"}), "provider", "no provider"),
        (
            json!({"name": "db", "template": "small-storage", "provider": "simulated", "parameters": {"storage": "9Ti"}}),
            "parameters.storage",
            "more than",
        ),
        (
            json!({"name": "a234567890123456789012345678901234567890b", "template": "small-storage"}),
            "name",
            "at most 40",
        ),
        (json!({"name": "db", "template": "small-storage", "org": "other"}), "org", "not other"),
    ] {
        let spec: ResourceSpec = serde_json::from_value(body).unwrap();
        let refused =
            node.control.create_resource(&admin, &spec, &WriteOptions::default()).await.unwrap_err();
        let Error::Invalid(faults) = &refused else { panic!("{refused}") };
        assert_eq!(faults[0].field, field);
        assert!(faults[0].detail.contains(words), "{}", faults[0]);
    }
    // Nothing simulated is chosen for anyone who did not ask for it.
    let spec: ResourceSpec = serde_json::from_value(json!({"name": "db", "template": "saved"})).unwrap();
    let refused = node.control.create_resource(&admin, &spec, &WriteOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("no provider has room"), "{refused}");
    assert!(node.control.mirror().state().operations.is_empty());
}

/// Where all ports of hosts are taken nothing is made, and it is said what to do.
#[tokio::test]
async fn without_a_free_port_nothing_is_made() {
    let (store, provider) = world(Script::default());
    let owner = serde_json::to_vec(&univrs_model::ids::ResourceId::from_bits(9)).unwrap();
    let all: Vec<u16> = (univrs_model::resource::FIRST_PORT..=univrs_model::resource::LAST_PORT).collect();
    for some in all.chunks(500) {
        let ops = some.iter().map(|port| univrs_ports::store::Op::Put {
            key: Key::new(keys::resource_port(*port)).unwrap(),
            value: owner.clone().into(),
            lease: None,
        });
        store.txn(Txn { request: None, guards: Vec::new(), ops: ops.collect() }).await.unwrap();
    }
    let node = ControlNode::start(&store, &provider).await;
    let begun = node.create().await.unwrap();
    assert_eq!(node.ended(&begun.operation.operation.id).await, OperationStatus::Undone);
    let view = node.control.get_resource(&Caller::local_admin(), "db").unwrap();
    assert_eq!(view.status, ResourceStatus::Failed);
    assert!(view.message.contains("from 19001 to 29000 are taken; remove"), "{}", view.message);
    assert_eq!(provider.things().0, Vec::<String>::new());
}

#[tokio::test]
async fn a_quota_holds_for_what_is_made_and_what_grows() {
    let (store, provider) = world(Script::default());
    let node = ControlNode::start(&store, &provider).await;
    let admin = Caller::local_admin();
    let org = univrs_model::org::OrgSpec { name: "acme".parse().unwrap(), tier: None };
    node.control.create_org(&admin, &org, &WriteOptions::default()).await.unwrap();
    let caller = Caller { org: org.name.clone(), ..admin.clone() };
    let quota: Quota = serde_json::from_value(json!({"resources": 1, "cpu": "1500m"})).unwrap();
    node.control.set_resource_quota(&admin, org.name.as_str(), quota).await.unwrap();
    let make = async |name: &str| {
        let spec = ResourceSpec { name: name.parse().unwrap(), ..spec() };
        node.control.create_resource(&caller, &spec, &WriteOptions::default()).await
    };
    let (one, two) = tokio::join!(make("one"), make("two"));
    assert!(one.is_ok() != two.is_ok(), "both were made within a quota of one");
    let name: Name = if one.is_ok() { "one" } else { "two" }.parse().unwrap();
    let mut states = node.control.mirror().subscribe();
    let active = states.wait_for(|state| {
        state.resources.values().any(|known| known.name == name && known.status == ResourceStatus::Active)
    });
    tokio::time::timeout(PATIENCE, active).await.unwrap().unwrap();
    let refused = make("three").await.unwrap_err().to_string();
    assert!(refused.contains("there are 1 resources, and there may be 1"), "{refused}");
    let larger = ScaleSpec { parameters: json!({"cpu": "2"}).as_object().unwrap().clone() };
    let refused = node.control.scale_resource(&caller, name.as_str(), &larger).await.unwrap_err().to_string();
    assert!(refused.contains("2 wanted are more than 1500m"), "{refused}");
    let fixed = ScaleSpec { parameters: json!({"storage": "1Gi"}).as_object().unwrap().clone() };
    let refused = node.control.scale_resource(&caller, name.as_str(), &fixed).await.unwrap_err().to_string();
    assert!(refused.contains("cannot be changed later"), "{refused}");
    let smaller = ScaleSpec { parameters: json!({"cpu": "500m"}).as_object().unwrap().clone() };
    let begun = node.control.scale_resource(&caller, name.as_str(), &smaller).await.unwrap();
    assert_eq!(node.ended(&begun.operation.operation.id).await, OperationStatus::Succeeded);
    let view = node.control.get_resource(&caller, name.as_str()).unwrap();
    assert_eq!(view.footprint.limits.cpu.as_millicores(), 500);
}

#[tokio::test]
async fn a_plan_of_a_resource_changes_nothing_and_applies_once() {
    let (store, provider) = world(Script::default());
    let node = ControlNode::start(&store, &provider).await;
    let admin = Caller::local_admin();
    let planning = node.control.planning();
    let outcome = planning.create_resource(&admin, &spec(), &WriteOptions::default()).await;
    let plan = planning.planned(&admin, outcome).unwrap();
    assert!(node.control.get_resource(&admin, "db").is_err());
    node.control.apply_plan(&admin, plan.plan_id.as_str(), &plan.digest).await.unwrap();
    node.active().await;
    let outcome = planning.delete_resource(&admin, "db").await;
    let plan = planning.planned(&admin, outcome).unwrap();
    assert!(plan.approval_needed[0].contains("removes resource db"), "{:?}", plan.approval_needed);
}

#[tokio::test]
async fn what_is_due_is_begun_by_itself_and_once() {
    let (store, provider) = world(Script::default());
    let node = ControlNode::start(&store, &provider).await;
    let spec =
        serde_json::from_value(json!({"name": "db", "template": "saved", "provider": "simulated"})).unwrap();
    let caller = Caller::local_admin();
    node.control.create_resource(&caller, &spec, &WriteOptions::default()).await.unwrap();
    node.active().await;
    node.settle().await;
    // As if it had been made two years ago.
    let at = keys::resource(&Name::default_org(), &spec.name);
    let key = Key::new(at).unwrap();
    let stored = store.get(&key, univrs_ports::store::Consistency::Linearizable).await.unwrap().unwrap();
    let mut record: univrs_model::resource::Resource = serde_json::from_slice(&stored.value).unwrap();
    record.created_at =
        record.created_at.checked_sub(jiff::SignedDuration::from_hours(2 * 366 * 24)).unwrap();
    let put =
        univrs_ports::store::Op::Put { key, value: serde_json::to_vec(&record).unwrap().into(), lease: None };
    store.txn(Txn { request: None, guards: Vec::new(), ops: vec![put] }).await.unwrap();

    let (_leads, leading) = watch::channel(true);
    let upkeep = ResourceUpkeep::new(node.control.clone()).run(leading, node.shutdown.clone());
    let upkeep = tokio::spawn(upkeep);
    node.until("it was backed up and has new credentials", |view| {
        view.is_some_and(|view| view.last_backup_at.is_some() && view.rotated_at.is_some())
    })
    .await;
    node.settle().await;
    let view = node.control.get_resource(&caller, "db").unwrap();
    assert_eq!(view.backups.len(), 1);
    upkeep.abort();

    // What it has leads to its own moment only.
    for (to_time, words) in
        [("2026-01-01T00:00:00Z", "no backup of `db`"), ("2999-01-01T00:00:00Z", "still to come")]
    {
        let wanted = RestoreSpec { from: None, backup: None, to_time: Some(to_time.parse().unwrap()) };
        let refused = node.control.restore_resource(&caller, "db", &wanted).await.unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
    }
    let refused = node.control.promote_resource(&caller, "db").await.unwrap_err();
    assert!(refused.to_string().contains("has no replica"), "{refused}");
}
