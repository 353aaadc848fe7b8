//! The committed OpenAPI document is what the code says. `make openapi` writes it anew.

use expect_test::expect_file;
use univrs_api::codes::{CODES, page};

#[test]
fn the_committed_document_is_fresh() {
    let document = univrs_api::openapi().to_pretty_json().unwrap() + "\n";
    expect_file!["../../../../../openapi/univrs.json"].assert_eq(&document);
}

#[test]
fn every_path_says_what_goes_wrong() {
    let document = serde_json::to_value(univrs_api::openapi()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/api/") || path == "/api/openapi.json" {
            continue;
        }
        for (method, operation) in methods.as_object().unwrap() {
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert!(problem.is_object(), "{method} {path} does not describe its problems");
        }
    }
}

#[test]
fn every_problem_has_its_page() {
    let mut names: Vec<&str> = CODES.iter().map(|code| code.name).collect();
    assert!(names.is_sorted(), "they are in the order of their names");
    names.dedup();
    assert_eq!(names.len(), CODES.len());
    for code in CODES {
        let path = format!("{}/../../../docs/errors/{}.md", env!("CARGO_MANIFEST_DIR"), code.name);
        expect_file![path].assert_eq(&page(code));
    }
}
