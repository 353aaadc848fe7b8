//! The shapes outsiders rely on.

use serde_json::Value;
use univrs_compiler::plan;

use crate::world::{AURIGRAPH, checked, costed, emitted, input, optimized, options};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_check_has_errors_warnings_and_facts() {
    let report = serde_json::to_value(checked(AURIGRAPH, &[]).report).unwrap();
    let mut found = keys(&report);
    found.sort_unstable();
    assert_eq!(found, ["errors", "facts", "warnings"]);
    for finding in report["warnings"].as_array().unwrap() {
        assert!(finding["code"].is_string() && finding["path"].is_string() && finding["message"].is_string());
    }
    let broken = serde_json::to_value(checked("name = 3", &[]).report).unwrap();
    assert!(!broken["errors"].as_array().unwrap().is_empty());
}

#[test]
fn a_plan_has_regions_tunnels_names_and_who_votes() {
    let planned = plan(&input(AURIGRAPH, &[]), &options());
    let document = serde_json::to_value(planned.document().unwrap()).unwrap();
    assert_eq!(document["regions"].as_array().unwrap().len(), 6);
    assert_eq!(document["regions"][0]["cidr"], "10.0.0.0/16");
    assert_eq!(document["tunnels"].as_array().unwrap().len(), 15);
    assert_eq!(document["dns"]["records"].as_array().unwrap().len(), 6);
    assert_eq!(document["resources"]["aws"]["machine"], 22);
    assert_eq!(document["ballot"]["chosen"], true);
    assert!(plan(&input("name = 3", &[]), &options()).document().is_none());
}

#[test]
fn a_cost_is_a_superset_of_infracosts() {
    let document = serde_json::to_value(costed(AURIGRAPH, &[]).document(None).unwrap()).unwrap();
    assert!(document["totalMonthlyCost"].is_string());
    let resources = document["projects"][0]["breakdown"]["resources"].as_array().unwrap();
    let components = resources.iter().flat_map(|resource| resource["costComponents"].as_array().unwrap());
    assert!(components.clone().any(|component| component["priceNotFound"] == true));
    assert!(components.clone().any(|component| component["priceNotFound"] == false));
    // What is not known is null, never zero.
    for component in components.filter(|component| component["priceNotFound"] == true) {
        assert!(component["monthlyCost"].is_null() && component["price"].is_null(), "{component}");
    }
    assert_eq!(document["univrs"]["complete"], false);
    assert!(document["univrs"]["oldest_price"].is_string());
}

#[test]
fn a_size_without_a_type_finds_the_cheapest_that_fits() {
    let text = r#"
        name = "any"
        [[region]]
        cloud = "aws"
        name = "us-east-1"
        [[region]]
        cloud = "oci"
        name = "us-ashburn-1"
        [role.web]
        count = 1
        per = "region"
        size = { vcpu = 2, memory = "8Gi" }
    "#;
    let planned = plan(&input(text, &[]), &options()).plan;
    let region = &planned.as_ref().unwrap().regions[0];
    assert!(region.groups[0].machine.as_deref().unwrap().contains('.'));
    // Sizes of flexible shapes are listed like types and are none.
    let oracle = planned.as_ref().unwrap().regions[1].groups[0].machine.as_deref().unwrap();
    assert!(oracle.starts_with("VM.") && !oracle.contains('$'), "{oracle}");
}

#[test]
fn proposals_have_saving_risk_and_objective() {
    let document = serde_json::to_value(optimized(AURIGRAPH, &[]).document().unwrap()).unwrap();
    let proposals = document["proposals"].as_array().unwrap();
    assert!(!proposals.is_empty());
    for proposal in proposals {
        for key in ["kind", "group", "from", "to", "monthlySaving", "risk", "objective"] {
            assert!(proposal[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {proposal}");
        }
    }
    assert!(document["savingAgainstList"].is_string());
}

#[test]
fn files_are_the_same_every_time_and_gaps_are_warnings() {
    let (first, second) = (emitted(AURIGRAPH, &[]), emitted(AURIGRAPH, &[]));
    assert!(first.files.len() > 10 && first.files == second.files);
    let gaps = first.report.warnings.iter().filter(|finding| finding.code.as_str() == "not-emitted").count();
    assert_eq!(gaps, first.gaps.len());
    let document = serde_json::to_value(first.document().unwrap()).unwrap();
    assert_eq!(document["files"].as_object().unwrap().len(), first.files.len());
    let broken = emitted("name = 3", &[]);
    assert!(broken.files.is_empty() && broken.document().is_none());
}
