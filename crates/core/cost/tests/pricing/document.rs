//! The JSON document has Infracost's shape, and the table says what a reader needs.

use serde_json::{Value, json};
use univrs_cost::estimate::{Document, Options, difference, difference_table, table};
use univrs_cost::item::{Kind, Purchase};

use crate::build::{bought, item, machines, priced, today};

fn document(past: bool) -> Value {
    let items = [
        machines("aws:us-east-1", 2, "c6i.4xlarge"),
        bought("azure:eastus", 1, "Standard_B2s", Purchase::Spot),
        item("aws:us-east-1", 1, Kind::Nat { machines: 2, processed_gb: None }),
    ];
    let (now, before) = (priced(&items), priced(&items[..1]));
    let past = past.then_some(&before);
    serde_json::to_value(Document::new("test", &now, past, &Options::on(today()))).unwrap()
}

#[test]
fn keys_and_decimal_strings() {
    let document = document(false);
    assert_eq!(document["totalMonthlyCost"], json!("1025.65"));
    assert_eq!(document["totalHourlyCost"], json!("1.405"));
    assert_eq!(document["currency"], json!("USD"));
    assert_eq!(document["univrs"]["complete"], json!(false));
    assert_eq!(document["univrs"]["oldest_price"], json!("2024-07-01"));
    assert_eq!(document["summary"]["totalDetectedResources"], json!(3));
    assert_eq!(document["summary"]["totalNoPriceResources"], json!(1));
    let resources = &document["projects"][0]["breakdown"]["resources"];
    assert_eq!(resources[0]["resourceType"], json!("aws_instance"));
    let component = &resources[0]["costComponents"][0];
    assert_eq!(component["unit"], json!("hours"));
    assert_eq!(component["hourlyQuantity"], json!("2"));
    assert_eq!(component["monthlyQuantity"], json!("1460"));
    assert_eq!(component["price"], json!("0.68"));
    assert_eq!(component["monthlyCost"], json!("992.8"));
    assert_eq!(component["priceNotFound"], json!(false));
    assert_eq!(component["priceDate"], json!("2026-07-20"));
    // An unknown price is null, and says so.
    let spot = &resources[1]["costComponents"][0];
    assert_eq!(spot["priceNotFound"], json!(true));
    assert_eq!((&spot["price"], &spot["monthlyCost"]), (&Value::Null, &Value::Null));
    // An amount nobody declared is null; its price is known.
    let data = &resources[2]["costComponents"][1];
    assert_eq!(data["priceNotFound"], json!(false));
    assert_eq!((&data["monthlyQuantity"], &data["monthlyCost"]), (&Value::Null, &Value::Null));
    assert_eq!(data["usageBased"], json!(true));
    assert!(document.get("pastTotalMonthlyCost").is_none());
}

#[test]
fn a_past_estimate_adds_the_difference() {
    let document = document(true);
    assert_eq!(document["pastTotalMonthlyCost"], json!("992.8"));
    assert_eq!(document["diffTotalMonthlyCost"], json!("32.85"));
    let diff = &document["projects"][0]["diff"];
    assert_eq!(diff["totalMonthlyCost"], json!("32.85"));
    assert_eq!(diff["resources"].as_array().unwrap().len(), 2);
    assert_eq!(document["projects"][0]["pastBreakdown"]["totalMonthlyCost"], json!("992.8"));
}

#[test]
fn the_table_shows_units_dates_and_what_is_missing() {
    let items = [
        machines("aws:us-east-1", 2, "c6i.4xlarge"),
        bought("azure:eastus", 1, "Standard_B2s", Purchase::Spot),
    ];
    let estimate = priced(&items);
    let text = table(&estimate);
    for part in [
        "USD/UNIT",
        "it ×2 (aws:us-east-1)",
        "c6i.4xlarge, on demand",
        "hours",
        "0.68",
        "2026-07-20",
        "992.80",
        "unknown",
        "Known part: 992.80 USD per month of 730 hours; not whole: 1 without a price, 0 without a declared amount",
        "Oldest price: 2026-07-20",
        "warning[egress-undeclared]",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    let change = difference_table(&difference(&priced(&items[..1]), &estimate));
    assert!(change.contains("+ it (azure:eastus)"), "{change}");
}
