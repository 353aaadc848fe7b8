//! Secrets reach the container's programs and nothing else.

use std::path::Path;

use univrs_model::secret::SecretValue;
use univrs_ports::runtime::{ContainerSpec, Mount, MountSource, Runtime as _, RuntimeError};

use crate::bundle::{Node, fresh, obstacle};
use crate::harness::{Outcome, Test};
use crate::hostile::{add_tests, command, run, start};

const CANARY: &str = "canary-5d41402abc4b2a76";

/// Adds the tests.
pub(crate) fn add(tests: &mut Vec<Test>) {
    add_tests!(tests: "secrets": variables_are_in_no_file, files_are_the_users_own);
}

/// Files below `dir` that hold the canary, the container's own files aside.
fn traces(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            found.extend(traces(&path));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

fn with_secret(node: &Node, script: &str) -> ContainerSpec {
    let mut spec = node.script(&fresh("app"), script);
    spec.env.insert("TOKEN".to_owned(), "the image's own".to_owned());
    spec.secret_env.insert("TOKEN".to_owned(), SecretValue::new(CANARY.as_bytes().to_vec()));
    spec
}

async fn variables_are_in_no_file(node: &Node) {
    let script = "env | grep -c ^TOKEN=; echo ${#TOKEN}; cat; echo end";
    let (_, said) = run(node, &with_secret(node, script)).await;
    let length = CANARY.len().to_string();
    assert_eq!(said, ["1", &length, "end"], "one value, and standard input is empty");

    let spec = with_secret(node, "exec sleep 60");
    start(node, &spec).await.expect("it starts");
    assert_eq!(
        command(node, &spec.id, "echo $TOKEN $GREETING").await.trim(),
        format!("{CANARY} hello there")
    );
    assert_eq!(traces(&node.path("run")), Vec::<String>::new());
    assert_eq!(traces(&node.path("data")), Vec::<String>::new());

    let mut spec = with_secret(node, "true");
    spec.secret_env.insert("ZERO".to_owned(), SecretValue::new(vec![b'a', 0, b'b']));
    let outcome = start(node, &spec).await;
    assert!(
        matches!(&outcome, Err(RuntimeError::Refused { reason, .. }) if reason.contains("`ZERO`")),
        "{outcome:?}"
    );
    let mut large = node.script(&fresh("app"), "echo ${#LARGE}");
    // More than a pipe holds at once.
    large.secret_env.insert("LARGE".to_owned(), SecretValue::new(vec![b'x'; 120_000]));
    assert_eq!(run(node, &large).await.1, ["120000"]);
}

async fn files_are_the_users_own(node: &Node) {
    let memory = node.path("memory");
    univrs_runtime::memory::open(&memory).expect("memory");
    let file = memory.join("0");
    std::fs::write(&file, CANARY).expect("a file");
    let mut spec = node.script(&fresh("app"), "stat -c '%a %u' /run/secrets/db; cat /run/secrets/db; echo; echo x 2>/dev/null >/run/secrets/db || echo kept");
    spec.user = "1234".to_owned();
    spec.mounts =
        vec![Mount { source: MountSource::Owned(file), target: "/run/secrets/db".into(), read_only: true }];
    let (_, said) = run(node, &spec).await;
    assert_eq!(said, ["400 1234", CANARY, "kept"]);
    node.oci().close_sandbox(&spec.id.instance).await.expect("it closes");
    assert_eq!(traces(&node.path("data")), Vec::<String>::new());
    univrs_runtime::memory::close(&memory).expect("it goes");
}
