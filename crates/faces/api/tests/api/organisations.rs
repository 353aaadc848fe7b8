//! Organisations: each sees and changes its own, and nobody's shares are changed by one of them.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Face, web};

#[tokio::test]
async fn an_organisation_has_names_of_its_own() {
    let face = Face::start().await;
    assert_eq!(face.get("/api/orgs").await.all("name"), ["default"]);
    face.make_org("acme").await;
    let again = face.on_the_machine(Method::POST, "/api/orgs", json!({"name": "acme"})).await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("exists")));
    assert_eq!(face.get("/api/orgs").await.all("name"), ["acme", "default"]);

    let made = face.on_the_machine(Method::POST, "/api/workloads?org=acme", web()).await;
    assert_eq!((made.status, &made.body["org"]), (StatusCode::CREATED, &json!("acme")));
    let unknown = face.get("/api/workloads?org=acne").await;
    assert_eq!(
        (unknown.status, unknown.body["hint"].as_str()),
        (StatusCode::NOT_FOUND, Some("did you mean `acme`?"))
    );
}

#[tokio::test]
async fn a_token_sees_and_changes_its_own_organisation_only() {
    let face = Face::start().await;
    face.make_org("acme").await;
    let token = face.make_token("acme", json!({"name": "boss", "grant": "admin"})).await;
    let ask = async |method, path: &str, body| face.holding(&token, method, path, body).await;
    let get = async |path: &str| ask(Method::GET, path, Value::Null).await;

    assert_eq!(get("/api/orgs").await.all("name"), ["acme"]);
    assert!(get("/api/workloads").await.all("name").is_empty());
    assert_eq!(get("/api/workloads/web").await.status, StatusCode::NOT_FOUND);
    let made = ask(Method::POST, "/api/workloads", json!({"name": "own", "image": "web:1"})).await;
    assert_eq!((made.status, &made.body["org"]), (StatusCode::CREATED, &json!("acme")));
    assert_eq!(face.get("/api/workloads").await.all("name"), ["web"]);
    face.make_token("default", json!({"name": "other"})).await;
    face.make_token("default", json!({"name": "wide", "cluster_wide": true})).await;
    assert_eq!(get("/api/tokens").await.all("name"), ["boss"]);
    assert_eq!(face.get("/api/tokens?org=acme").await.all("name"), ["boss", "wide"]);
    for path in ["/api/tokens/other", "/api/tokens/wide"] {
        assert_eq!(ask(Method::DELETE, path, Value::Null).await.status, StatusCode::NOT_FOUND, "{path}");
    }

    // What belongs to the cluster can be looked at where that tells nothing of others, and is not changed.
    for path in ["/api/nodes", "/api/cluster", "/api/images", "/api/events", "/api/audit"] {
        assert_eq!(get(path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(get("/metrics").await.status, StatusCode::FORBIDDEN);
    for (method, path, body) in [
        (Method::POST, "/api/nodes/one/cordon", Value::Null),
        (Method::PATCH, "/api/nodes/one", json!({"labels": {"a": "b"}})),
        (Method::POST, "/api/images/pull", json!({"reference": "web:1"})),
        (Method::POST, "/api/orgs", json!({"name": "mine"})),
    ] {
        let answer = ask(method, path, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(answer.detail().contains("cluster_objects"), "{path}: {}", answer.body);
    }
    // Asking for another organisation is denied, whether there is one or not.
    for path in ["/api/workloads?org=default", "/api/nodes?org=default", "/api/workloads?org=nobody"] {
        let answer = get(path).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(answer.detail().contains("own_organisation"), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn an_organisation_is_found_by_its_id_by_who_may_see_it() {
    let face = Face::start().await;
    face.make_org("acme").await;
    let token = face.make_token("acme", json!({"name": "boss", "grant": "admin"})).await;
    let orgs = face.get("/api/orgs").await.body["items"].clone();
    let id = |place: usize| orgs[place]["id"].as_str().unwrap();
    let (acme, default) = (id(0), id(1));
    let set = json!({"resources": 3});
    let path = format!("/api/orgs/{acme}/quota");
    assert_eq!(face.on_the_machine(Method::PUT, &path, set.clone()).await.status, StatusCode::OK);
    for known in ["acme", acme] {
        assert_eq!(face.get(&format!("/api/orgs/{known}")).await.body["name"], "acme");
        assert_eq!(face.get(&format!("/api/orgs/{known}/quota")).await.body, set);
        let own = face.holding(&token, Method::GET, &format!("/api/orgs/{known}/quota"), Value::Null).await;
        assert_eq!((own.status, &own.body), (StatusCode::OK, &set));
    }
    for other in ["default", default] {
        for path in [format!("/api/orgs/{other}"), format!("/api/orgs/{other}/quota")] {
            let answer = face.holding(&token, Method::GET, &path, Value::Null).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.body);
        }
    }
    for path in ["/api/orgs/nobody", "/api/orgs/og_nobody", "/api/orgs/nobody/quota", "/api/orgs/%20/quota"] {
        assert_eq!(face.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    // Only what the caller sees is proposed.
    let near = face.holding(&token, Method::GET, "/api/orgs/default_", Value::Null).await;
    assert_eq!((near.status, near.body["hint"].as_str()), (StatusCode::NOT_FOUND, None), "{}", near.body);
    assert_eq!(face.get("/api/orgs/default_").await.body["hint"], "did you mean `default`?");
}

#[tokio::test]
async fn a_token_of_the_cluster_acts_in_every_organisation() {
    let face = Face::start().await;
    face.make_org("acme").await;
    let spec = json!({"name": "root", "grant": "admin", "cluster_wide": true});
    let token = face.make_token("acme", spec).await;
    let ask = async |method, path: &str, body| face.holding(&token, method, path, body).await;
    assert_eq!(ask(Method::GET, "/api/workloads", Value::Null).await.all("name"), ["web"]);
    let made = ask(Method::POST, "/api/workloads?org=acme", web()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(ask(Method::POST, "/api/nodes/one/cordon", Value::Null).await.status, StatusCode::OK);
    assert_eq!(ask(Method::GET, "/metrics", Value::Null).await.status, StatusCode::OK);
    assert_eq!(ask(Method::GET, "/api/orgs", Value::Null).await.all("name"), ["acme", "default"]);
}

#[tokio::test]
async fn two_organisations_do_not_share_a_host() {
    let face = Face::start().await;
    face.make_org("acme").await;
    let body = |name: &str, host: &str| {
        json!({"name": name,
            "containers": [{"name": "app", "image": "web:1", "ports": [{"name": "http", "container_port": 80}]}],
            "ingress": [{"host": host, "port": "http"}]})
    };
    let post = async |org: &str, body| {
        face.on_the_machine(Method::POST, &format!("/api/workloads?org={org}"), body).await
    };
    assert_eq!(post("default", body("shop", "Shop.test")).await.status, StatusCode::CREATED);
    assert_eq!(post("default", body("shop2", "shop.test")).await.status, StatusCode::CREATED);
    let clash = post("acme", body("shop", "shop.TEST")).await;
    assert_eq!(
        (clash.status, clash.body["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("ingress[0].host"))
    );
    assert!(clash.detail().contains("another organisation"), "{}", clash.body);
    assert_eq!(post("acme", body("shop", "acme.test")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn every_write_leaves_one_entry_in_the_log_of_whom_it_concerns() {
    let face = Face::start().await;
    face.make_org("acme").await;
    let token = face.make_token("acme", json!({"name": "boss", "grant": "admin"})).await;
    let made = face.holding(&token, Method::POST, "/api/workloads", web()).await;
    let request = made.headers["x-request-id"].to_str().unwrap().to_owned();
    let cordon =
        async || face.on_the_machine(Method::POST, "/api/nodes/one/cordon", Value::Null).await.status;
    assert_eq!((cordon().await, cordon().await), (StatusCode::OK, StatusCode::OK));
    for (path, reference, status) in [
        ("/api/images/pull", "web:1", 200),
        ("/api/images/pull", "absent:1", 404),
        ("/api/images/self", "", 200),
    ] {
        let body = if reference.is_empty() { json!({}) } else { json!({"reference": reference}) };
        assert_eq!(face.on_the_machine(Method::POST, path, body).await.status, status, "{reference}");
    }
    // Refused writes leave none.
    face.holding(&token, Method::POST, "/api/nodes/one/drain", Value::Null).await;
    face.on_the_machine(Method::POST, "/api/workloads", json!({"name": "Bad"})).await;

    let own = face.holding(&token, Method::GET, "/api/audit", Value::Null).await;
    assert_eq!(own.all("object"), ["token/boss", "workload/web"]);
    let entry = &own.body["items"][1];
    assert_eq!(entry["action"], "workload_write");
    assert_eq!(entry["allowed_by"], "operate");
    assert_eq!(entry["result"], "done");
    assert_eq!(entry["request"].as_str(), Some(request.as_str()));
    assert_eq!(entry["caller"]["principal"]["kind"], "token");
    assert!(token.contains(entry["caller"]["principal"]["id"].as_str().unwrap()));
    assert!(entry["revision"].as_u64().unwrap() > own.body["items"][0]["revision"].as_u64().unwrap());

    let wanted = [
        "workload/web",
        "org/acme",
        "node/one",
        "image/web:1",
        "image/absent:1",
        "image/univrs/orchestrator:dev",
    ];
    let whole = face.get("/api/audit").await;
    assert_eq!(whole.all("object"), wanted);
    let failed = &whole.body["items"][4];
    assert_eq!((&failed["result"], failed["reason"].as_str().is_some()), (&json!("failed"), true));

    // The two logs read as one, page by page.
    let mut paged = Vec::new();
    let mut path = "/api/audit?limit=1".to_owned();
    loop {
        let page = face.get(&path).await;
        paged.extend(page.all("object"));
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/api/audit?limit=1&cursor={cursor}");
    }
    assert_eq!(paged, wanted);
    // Everyone hears of the nodes, as they all run on them.
    let told = face.holding(&token, Method::GET, "/api/events", Value::Null).await.all("kind");
    assert_eq!(told, ["workload_created", "node_cordoned"]);
}
