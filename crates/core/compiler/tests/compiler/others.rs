//! What depends on more than one text: other topologies, the age of prices, what changed.

use univrs_compiler::{Options, check, cost};

use crate::world::{AURIGRAPH, PLURESDB, costed, input, of, options, told};

#[test]
fn ranges_of_another_topology_must_stay_apart() {
    // Seeds 3 and 4 both have 10.0.0.0/16.
    let with = [input(AURIGRAPH, &[])];
    let checked = check(&input(PLURESDB, &[]), &Options { with: &with, ..options() });
    assert_eq!(told(&checked.report.errors), ["range-overlap region[0].cidr"]);
    let finding = &checked.report.errors[0];
    assert!(finding.message.contains("aws:us-east-1") && finding.line.is_some(), "{finding:?}");
    let moved = ["region.azure:eastus.cidr=10.99.0.0/16".to_owned()];
    let checked = check(&input(PLURESDB, &moved), &Options { with: &with, ..options() });
    assert_eq!(told(&checked.report.errors), Vec::<String>::new());
}

#[test]
fn another_topology_with_errors_is_no_excuse() {
    let with = [input("name = 3", &[])];
    let checked = check(&input(PLURESDB, &[]), &Options { with: &with, ..options() });
    assert_eq!(told(&checked.report.errors), ["other-topology "]);
}

#[test]
fn old_prices_are_told_only_when_asked_for() {
    let young = check(&input(AURIGRAPH, &[]), &options());
    assert!(of(&young.report.warnings, "old-price").is_empty());
    let old = check(&input(AURIGRAPH, &[]), &Options { max_price_age: Some(365), ..options() });
    let told = of(&old.report.warnings, "old-price");
    assert!(!told.is_empty() && told[0].message.contains("days old, more than 365"), "{told:?}");
}

#[test]
fn assumed_prices_fill_the_sum_and_leave_it_incomplete() {
    let known = costed(AURIGRAPH, &[]).priced.unwrap().estimate;
    let assumed = cost(&input(AURIGRAPH, &[]), &Options { assume_missing: true, ..options() });
    let assumed = assumed.priced.unwrap().estimate;
    assert!(assumed.total > known.total && !assumed.complete);
}

#[test]
fn a_change_costs_the_difference() {
    let before = costed(AURIGRAPH, &[]);
    let after = costed(AURIGRAPH, &["role.slim.count=15"]);
    let table = after.difference_table(&before).unwrap();
    // One more machine and no more in half of the regions each, or two: 3 more in each cloud.
    assert!(table.contains("~ slim (aws:us-east-1)") && !table.contains("validator"), "{table}");
    let document = serde_json::to_value(after.document(Some(&before))).unwrap();
    let change = document["diffTotalMonthlyCost"].as_str().unwrap().parse::<f64>().unwrap();
    assert!(change > 0.0);
    assert_eq!(
        document["pastTotalMonthlyCost"],
        serde_json::to_value(before.document(None)).unwrap()["totalMonthlyCost"]
    );
}

#[test]
fn discounts_and_kept_prices_are_what_is_paid() {
    let list = costed(AURIGRAPH, &[]).priced.unwrap().estimate.total;
    let text = format!("{AURIGRAPH}\n[account]\ndiscount = {{ aws = \"10%\" }}\n");
    let discounted = costed(&text, &[]).priced.unwrap().estimate.total;
    assert!(discounted < list);
    let text = format!(
        "{AURIGRAPH}\n[[account.price]]\ncloud = \"gcp\"\nmachine = \"e2-standard-2\"\nmonthly = \"7.30 USD\"\nreason = \"before the rise\"\n"
    );
    let kept = costed(&text, &[]);
    let estimate = &kept.priced.as_ref().unwrap().estimate;
    let slim = estimate
        .resources
        .iter()
        .find(|r| r.name == "slim" && r.place.to_string() == "gcp:us-west1")
        .unwrap();
    assert_eq!(slim.components[0].cost.unwrap().rounded(), "43.80");
}
