//! The checklist of a provider: every check has to pass on every one.
#![allow(clippy::panic, clippy::missing_panics_doc, reason = "a check fails by panicking")]

use std::time::Duration;

use univrs_model::ids::{OperationId, ResourceId};
use univrs_model::name::Name;
use univrs_model::resource::RESOURCE_LABEL;
use univrs_model::secret::SecretValue;
use univrs_model::workload::WorkloadSpec;

use super::{Order, Provider, ProviderError, ResourceRef, Standing};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// A text that must be nowhere.
const CANARY: &str = "canary5b1e7c";

/// What the checks run.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Runs until it is ended.
    pub serve: Program,
    /// Ends with code 0.
    pub job: Program,
    /// Ends with another code.
    pub failing_job: Program,
    /// The last line that `job` writes; absent where programs are not real and write nothing.
    pub says: Option<String>,
    /// Absent where programs are not real and read nothing.
    pub reader: Option<Reader>,
}

/// A program that runs until it is ended and again and again writes what its secret is, without showing it.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The program; its secret is the file [`SECRET_FILE`].
    pub program: Program,
    /// What the program writes for a value, as a whole line.
    pub fingerprint: fn(&[u8]) -> String,
}

/// Where the secret of a [`Reader`] is.
pub const SECRET_FILE: &str = "/run/secrets/password";

/// Something that a provider can run.
#[derive(Clone, Debug)]
pub struct Program {
    /// An image that the provider has.
    pub image: String,
    /// The command; that of the image when empty.
    pub command: Vec<String>,
}

fn name(text: &str) -> Name {
    match text.parse() {
        Ok(name) => name,
        Err(error) => panic!("{error}"),
    }
}

fn workload(program: &Program, id: &ResourceId, called: &str, kind: &str) -> WorkloadSpec {
    let document = serde_json::json!({
        "name": called, "kind": kind, "restart": {"policy": if kind == "job" { "never" } else { "always" }},
        "containers": [{"name": "app", "image": program.image, "command": program.command,
            "resources": {"cpu": "10m", "memory": "16Mi"}, "mounts": [{"volume": "data", "path": "/data"}], "stop_grace": "1s"}],
        "volumes": [{"name": "data", "size": "1Mi"}], "secrets": [], "labels": {RESOURCE_LABEL: id.to_string()},
    });
    match serde_json::from_value(document) {
        Ok(spec) => spec,
        Err(error) => panic!("{error}"),
    }
}

/// An order for a resource of one service, which may have a job beside it.
pub fn order(subject: &Subject, number: u128, called: &str) -> Order {
    let id = ResourceId::from_bits(number);
    Order {
        resource: ResourceRef {
            id: id.clone(),
            org: Name::default_org(),
            name: name(called),
            workloads: vec![name(called), name(&format!("{called}-job"))],
        },
        operation: OperationId::from_bits(number),
        workloads: vec![workload(&subject.serve, &id, called, "service")],
        secrets: [(name("password"), SecretValue::new(CANARY.into()))].into(),
    }
}

fn job(program: &Program, of: &Order, number: u128) -> Order {
    let called = format!("{}-job", of.resource.name);
    Order {
        operation: OperationId::from_bits(number),
        workloads: vec![workload(program, &of.resource.id, &called, "job")],
        ..of.clone()
    }
}

async fn until_serving(provider: &dyn Provider, order: &Order) {
    let serving = async {
        loop {
            match done(provider.status(&order.resource).await) {
                Standing::Serving { .. } => return,
                Standing::Failed { reason } => panic!("it failed: {reason}"),
                Standing::Waiting { .. } | Standing::Absent => {
                    tokio::time::sleep(Duration::from_millis(20)).await
                }
            }
        }
    };
    assert!(tokio::time::timeout(PATIENCE, serving).await.is_ok(), "it does not serve");
}

fn done<T>(outcome: Result<T, ProviderError>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// All checks, one after the other.
pub async fn check(provider: &dyn Provider, subject: &Subject) {
    deploys_once(provider, subject).await;
    takes_nothing_of_others(provider, subject).await;
    runs_jobs(provider, subject).await;
    changes_its_size(provider, subject).await;
    gives_secrets(provider, subject).await;
    destroys_what_is_not_there(provider, subject).await;
}

/// PRO-1, PRO-2, PRO-4.
pub async fn deploys_once(provider: &dyn Provider, subject: &Subject) {
    let order = order(subject, 11, "once");
    done(provider.deploy(&order).await);
    done(provider.deploy(&order).await);
    until_serving(provider, &order).await;
    let owned = done(provider.owned(&order.resource).await);
    assert!(!owned.is_empty(), "what was made carries no id");
    done(provider.deploy(&order).await);
    until_serving(provider, &order).await;
    assert_eq!(done(provider.owned(&order.resource).await), owned, "the same order made something more");
    assert!(!format!("{owned:?}").contains(CANARY));
    let lines = done(provider.logs(&order.resource, 10).await);
    assert!(!format!("{lines:?}").contains(CANARY));
    is_measured(provider, &order).await;
    done(provider.destroy(&order.resource).await);
    assert_eq!(done(provider.owned(&order.resource).await), Vec::<String>::new());
    assert_eq!(done(provider.status(&order.resource).await), Standing::Absent);
    assert_eq!(done(provider.metrics(&order.resource).await), None);
    done(provider.destroy(&order.resource).await);
}

/// What runs is measured, its counters do not go back, and what is gone is not.
async fn is_measured(provider: &dyn Provider, order: &Order) {
    let Some(first) = done(provider.metrics(&order.resource).await) else { return };
    assert!(!first.readings.is_empty(), "nothing of it is measured");
    let second = done(provider.metrics(&order.resource).await).unwrap_or_default();
    for (part, before) in &first.readings {
        let after = second.readings.get(part).filter(|after| after.since == before.since);
        let grows = after.is_some_and(|after| {
            (after.cpu_micros, after.network_in) >= (before.cpu_micros, before.network_in)
        });
        assert!(grows, "{part} counted backwards: {before:?}, {after:?}");
    }
}

/// PRO-3.
pub async fn takes_nothing_of_others(provider: &dyn Provider, subject: &Subject) {
    let (one, two) = (order(subject, 21, "one"), order(subject, 22, "two"));
    for order in [&one, &two] {
        done(provider.deploy(order).await);
        until_serving(provider, order).await;
    }
    let owned = done(provider.owned(&two.resource).await);
    // The same name under another id is someone else's.
    let stranger = Order {
        resource: ResourceRef { id: ResourceId::from_bits(23), ..one.resource.clone() },
        ..one.clone()
    };
    assert!(provider.deploy(&stranger).await.is_err(), "it took over what is another's");
    done(provider.destroy(&stranger.resource).await);
    until_serving(provider, &one).await;
    done(provider.destroy(&one.resource).await);
    assert_eq!(done(provider.owned(&two.resource).await), owned);
    until_serving(provider, &two).await;
    done(provider.destroy(&two.resource).await);
}

/// Jobs run to their end, leave their volumes and nothing else.
pub async fn runs_jobs(provider: &dyn Provider, subject: &Subject) {
    let order = order(subject, 31, "jobs");
    done(provider.deploy(&order).await);
    until_serving(provider, &order).await;
    let good = done(provider.run_job(&job(&subject.job, &order, 32)).await);
    assert!(good.succeeded, "{good:?}");
    if subject.says.is_some() {
        assert_eq!(good.last_lines.last(), subject.says.as_ref());
    }
    let bad = done(provider.run_job(&job(&subject.failing_job, &order, 33)).await);
    assert!(!bad.succeeded, "{bad:?}");
    until_serving(provider, &order).await;
    done(provider.destroy(&order.resource).await);
    assert_eq!(done(provider.owned(&order.resource).await), Vec::<String>::new());
}

/// Another size makes nothing twice and leaves nothing of the old one.
pub async fn changes_its_size(provider: &dyn Provider, subject: &Subject) {
    let mut order = order(subject, 51, "sized");
    done(provider.deploy(&order).await);
    until_serving(provider, &order).await;
    let owned = done(provider.owned(&order.resource).await);
    for container in order.workloads.iter_mut().flat_map(|spec| &mut spec.containers) {
        container.resources.memory_limit = Some(univrs_model::quantity::Bytes::mebibytes(48));
    }
    done(provider.scale(&order).await);
    done(provider.scale(&order).await);
    until_serving(provider, &order).await;
    assert_eq!(
        done(provider.owned(&order.resource).await).len(),
        owned.len(),
        "another size made something more"
    );
    done(provider.destroy(&order.resource).await);
    assert_eq!(done(provider.owned(&order.resource).await), Vec::<String>::new());
}

/// Programs have their secrets, and the new ones while they run; nothing shows the values.
pub async fn gives_secrets(provider: &dyn Provider, subject: &Subject) {
    let Some(reader) = &subject.reader else { return };
    let mut order = order(&Subject { serve: reader.program.clone(), ..subject.clone() }, 61, "reader");
    for spec in &mut order.workloads {
        spec.secrets = vec![univrs_model::workload::SecretUse {
            name: name("password"),
            env: None,
            file: Some(SECRET_FILE.to_owned()),
            on_change: univrs_model::workload::OnChange::Signal,
        }];
    }
    done(provider.deploy(&order).await);
    until_serving(provider, &order).await;
    until_it_says(provider, &order, &(reader.fingerprint)(CANARY.as_bytes())).await;
    let owned = done(provider.owned(&order.resource).await);
    let renewed = format!("{CANARY}-and-longer");
    order.secrets = [(name("password"), SecretValue::new(renewed.clone().into()))].into();
    done(provider.rotate(&order).await);
    done(provider.rotate(&order).await);
    until_it_says(provider, &order, &(reader.fingerprint)(renewed.as_bytes())).await;
    until_serving(provider, &order).await;
    assert_eq!(
        done(provider.owned(&order.resource).await).len(),
        owned.len(),
        "new secrets made something more"
    );
    let shown = format!(
        "{:?} {:?} {:?}",
        done(provider.logs(&order.resource, 100).await),
        done(provider.owned(&order.resource).await),
        done(provider.status(&order.resource).await)
    );
    assert!(!shown.contains(CANARY), "a secret is shown: {shown}");
    done(provider.destroy(&order.resource).await);
    assert_eq!(done(provider.owned(&order.resource).await), Vec::<String>::new());
}

async fn until_it_says(provider: &dyn Provider, order: &Order, line: &str) {
    let said = async {
        // Its log may not be there yet.
        while !provider
            .logs(&order.resource, 3)
            .await
            .is_ok_and(|lines| lines.last().is_some_and(|last| last == line))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, said).await.is_err() {
        panic!("it does not have its secret: {:?}", provider.logs(&order.resource, 5).await);
    }
}

/// PRO-2 for what never was.
pub async fn destroys_what_is_not_there(provider: &dyn Provider, subject: &Subject) {
    let order = order(subject, 41, "never");
    assert_eq!(done(provider.status(&order.resource).await), Standing::Absent);
    done(provider.destroy(&order.resource).await);
}
