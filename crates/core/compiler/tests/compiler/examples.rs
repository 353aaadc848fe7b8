//! What must be found on the three examples as they stand.

use univrs_compiler::Checked;

use crate::world::{AURIGRAPH, FREETIER, PLURESDB, checked, costed, emitted, of, optimized, told};

fn warning(checked: &Checked, code: &str, path: &str) -> String {
    let found = of(&checked.report.warnings, code);
    let found = found.into_iter().find(|finding| finding.path == path);
    let told = || told(&checked.report.warnings);
    found.unwrap_or_else(|| panic!("no {code} at {path}: {:#?}", told())).message.clone()
}

fn fact(checked: &Checked, code: &str) -> String {
    of(&checked.report.facts, code)[0].message.clone()
}

#[test]
fn aurigraph_has_no_errors_and_every_finding_has_its_line() {
    let checked = checked(AURIGRAPH, &[]);
    assert_eq!(told(&checked.report.errors), Vec::<String>::new());
    assert!(!checked.failed(false) && checked.failed(true));
    for finding in checked.report.warnings.iter().filter(|finding| !finding.path.is_empty()) {
        assert!(finding.line.is_some() && finding.column.is_some(), "{finding:?}");
    }
}

#[test]
fn aurigraph_misses_its_round_trips_and_names_the_pairs() {
    let message = warning(&checked(AURIGRAPH, &[]), "round-trip", "objectives.cross_cloud_rtt.p90");
    assert!(message.contains("of the 12 pairs") && message.contains("not 50ms"), "{message}");
    for pair in [
        "aws:us-east-1–azure:westus",
        "aws:us-east-1–gcp:us-west1",
        "azure:eastus–gcp:us-west1",
        "aws:us-west-2–azure:eastus",
    ] {
        assert!(message.contains(pair), "{pair}: {message}");
    }
    assert!(message.contains("estimated ±33 %"), "{message}");
    // 70 ms would do by estimate, and the estimate may be wrong by a third.
    let relaxed = checked(AURIGRAPH, &["objectives.cross_cloud_rtt.p90=70ms"]);
    assert!(of(&relaxed.report.warnings, "round-trip").is_empty());
    assert_eq!(of(&relaxed.report.facts, "round-trip-margin").len(), 1);
    let loose = checked(AURIGRAPH, &["objectives.cross_cloud_rtt.p90=95ms"]);
    assert!(of(&loose.report.facts, "round-trip-margin").is_empty());
}

#[test]
fn aurigraph_says_who_votes_and_what_bft_would_need() {
    let checked = checked(AURIGRAPH, &[]);
    let message = fact(&checked, "voters-chosen");
    assert!(message.starts_with("5 of 12 machines vote (aws 2, azure 2, gcp 1)"), "{message}");
    assert!(
        message.contains("a majority needs 3 of them and survives the loss of any one cloud"),
        "{message}"
    );
    assert!(message.contains("a bft rule would need 4 of them and does not survive"), "{message}");
    assert!(message.contains("that takes 5 voters over 5 clouds or 7 over 4"), "{message}");
    let unequal = fact(&checked, "unequal-voters");
    assert!(unequal.contains("8 (Standard_D8s_v5) to 16 processors (c6i.4xlarge)"), "{unequal}");
    let moves = fact(&checked, "names-move");
    assert!(moves.contains("noticed after 35s (3 × 10s + 5s)") && moves.contains("95s in all"), "{moves}");
    let ballot = checked.ballot.unwrap();
    assert_eq!((ballot.voters(), ballot.candidates()), (5, 12));
    assert!(ballot.zones.iter().all(|zone| zone.voters <= 1));
}

#[test]
fn aurigraph_under_a_bft_rule_loses_its_quorum_with_a_cloud() {
    let checked = checked(AURIGRAPH, &["objectives.quorum.rule=bft"]);
    assert_eq!(told(&checked.report.errors), ["quorum-lost objectives.quorum"]);
    let lost = &checked.report.errors[0];
    assert!(lost.message.contains("2 of 5 voters are lost and 3 are left; a bft rule needs 4"), "{lost:?}");
    assert!(checked.plan.is_none() && checked.priced.is_none());
}

#[test]
fn aurigraph_needs_headroom_recovers_too_slowly_and_leaves_traffic_out() {
    let checked = checked(AURIGRAPH, &[]);
    let headroom = warning(&checked, "headroom", "traffic.weights");
    assert!(headroom.contains("when aws is lost") && headroom.contains("×1.67"), "{headroom}");
    assert!(headroom.contains("azure from 30 % to 50 % and gcp from 30 % to 50 %"), "{headroom}");
    let availability = warning(&checked, "rto-availability", "objectives.rto.cloud");
    assert!(availability.contains("52.6 minutes") && availability.contains("114 %"), "{availability}");
    let egress = warning(&checked, "missing-egress", "traffic.egress");
    assert!(egress.contains("to the internet, between clouds, between regions of a cloud"), "{egress}");
    for (code, path) in [
        ("rpo-unreachable", "objectives.rpo.database"),
        ("rpo-unreachable", "objectives.rpo.objects"),
        ("rto-unreachable", "objectives.rto.region"),
        ("no-zones", "service.postgres.high_availability"),
    ] {
        warning(&checked, code, path);
    }
    let missed: Vec<&str> = checked.missed().map(|finding| finding.code.as_str()).collect();
    assert!(missed.contains(&"round-trip") && !missed.contains(&"missing-egress"), "{missed:?}");
}

#[test]
fn aurigraph_costs_66_nodes_with_dates() {
    let costed = costed(AURIGRAPH, &[]);
    assert_eq!(costed.nodes(), 66);
    let table = costed.table().unwrap();
    assert!(table.starts_with("aurigraph-prod: 66 nodes in 6 regions\n"), "{table}");
    assert!(table.contains("AS OF") && table.contains("2026-07-20"), "{table}");
    assert!(table.contains("validator ×2 (aws:us-east-1)"), "{table}");
    let estimate = &costed.priced.as_ref().unwrap().estimate;
    let machines =
        estimate.resources.iter().filter(|r| ["validator", "business", "slim"].contains(&r.name.as_str()));
    assert_eq!(machines.clone().map(|resource| resource.count).sum::<u32>(), 66);
    let compute =
        machines.flat_map(|resource| &resource.components).filter(|c| c.name.ends_with("on demand"));
    let compute: univrs_cost::Money = compute.filter_map(|component| component.cost).sum();
    // The figure of the price list for 66 machines, without disks and all else.
    assert_eq!(compute.rounded(), "9,449.88");
    assert!(!estimate.complete && costed.over_budget().is_none());
}

#[test]
fn aurigraph_is_cheaper_with_promises_and_voters_are_never_spot() {
    let optimized = optimized(AURIGRAPH, &[]);
    let outcome = optimized.outcome.as_ref().unwrap();
    assert!(outcome.exact && outcome.after < outcome.before);
    assert!(optimized.missed.iter().any(|finding| finding.code.as_str() == "rto-availability"));
    let document = optimized.document().unwrap();
    assert!(document.proposals.iter().all(|proposal| proposal.kind == "commit"), "{document:#?}");
    let saving: univrs_cost::Money = document.proposals.iter().map(|proposal| proposal.monthly_saving).sum();
    assert_eq!(saving, document.monthly_saving);
    let quorum = document.proposals.iter().find(|proposal| proposal.group.starts_with("validator")).unwrap();
    assert!(quorum.objective.contains("objectives.quorum") && !quorum.risk.is_empty(), "{quorum:?}");
}

#[test]
fn freetier_fits_oracles_allowance_and_the_rest_is_priced() {
    let checked = checked(FREETIER, &[]);
    assert_eq!(told(&checked.report.errors), Vec::<String>::new());
    let fits: Vec<String> = of(&checked.report.facts, "free-tier-fits")
        .into_iter()
        .filter(|finding| finding.path == "role.bootstrap")
        .map(|finding| finding.message.clone())
        .collect();
    assert!(fits.iter().any(|m| m.contains("all 2 vCPU are free (2026-06-15)")), "{fits:?}");
    assert!(fits.iter().any(|m| m.contains("all 12 GiB are free (2026-06-15)")), "{fits:?}");
    assert!(of(&checked.report.warnings, "free-tier-exceeded").is_empty());
    let estimate = checked.priced.unwrap().estimate;
    for (place, cost) in [
        ("oci:us-ashburn-1", "0.00"),
        ("aws:us-east-1", "11.88"),
        ("gcp:us-central1", "4.65"),
        ("azure:eastus", "8.93"),
        ("hetzner:fsn1", "8.67"),
    ] {
        let here = estimate.resources.iter().filter(|resource| resource.place.to_string() == place);
        let sum: univrs_cost::Money = here.map(|resource| resource.cost()).sum();
        assert_eq!(sum.rounded(), cost, "{place}");
    }
}

#[test]
fn freetier_beyond_the_allowance_warns_and_prices_the_excess() {
    let set = ["role.bootstrap.size.vcpu=4", "role.bootstrap.size.memory=24Gi"];
    let checked = checked(FREETIER, &set);
    let exceeded = of(&checked.report.warnings, "free-tier-exceeded");
    assert_eq!(exceeded.iter().filter(|finding| finding.path == "role.bootstrap").count(), 2);
    warning(&checked, "over-budget", "budget.monthly");
    let costed = costed(FREETIER, &set);
    // 2 vCPU at 0.01 and 12 GiB at 0.0015 an hour for 730 hours.
    let bootstrap = &costed.priced.as_ref().unwrap().estimate.resources[0];
    assert_eq!((bootstrap.name.as_str(), bootstrap.cost().rounded().as_str()), ("bootstrap", "27.74"));
    assert_eq!(costed.over_budget().unwrap().rounded(), "26.87");
}

#[test]
fn freetier_of_old_accounts_has_ended() {
    let checked = checked(FREETIER, &["account.free_tier.aws=12-months"]);
    let ended = warning(&checked, "free-tier-ended", "role.worker");
    assert!(ended.contains("t3.micro") && ended.contains("2026-07-14"), "{ended}");
}

#[test]
fn pluresdb_in_container_groups_is_unguarded_and_unpriced() {
    for environment in ["test", "dev", "prod"] {
        let set = format!("environment={environment}");
        let checked = checked(PLURESDB, &[&set]);
        assert_eq!(told(&checked.report.errors), Vec::<String>::new());
        assert_eq!(of(&checked.report.warnings, "rule-not-enforced").len(), 3);
        let unpriced = warning(&checked, "unpriced", "role.node");
        assert!(unpriced.contains("container group"), "{unpriced}");
        warning(&checked, "rto-unreachable", "objectives.rto.region");
        warning(&checked, "rpo-unreachable", "objectives.rpo.database");
        let emitted = emitted(PLURESDB, &[&set]);
        let text: Vec<u8> = emitted.files.values().flatten().copied().collect();
        assert!(String::from_utf8(text).unwrap().contains("azurerm_container_group"));
        assert!(emitted.report.errors.is_empty());
    }
}

#[test]
fn pluresdb_on_machines_is_guarded_and_compared_with_the_bands_of_the_seed() {
    // The upper ends of the seed's bands are the budgets of the file: 75, 125 and 300 USD.
    for (environment, total, over) in
        [("test", "117.89", Some("42.89")), ("dev", "196.49", Some("71.49")), ("prod", "275.09", None)]
    {
        let set = [format!("environment={environment}"), "role.node.host=machine".to_owned()];
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        let checked = checked(PLURESDB, &set);
        assert!(of(&checked.report.warnings, "rule-not-enforced").is_empty());
        let costed = costed(PLURESDB, &set);
        assert_eq!(costed.priced.as_ref().unwrap().estimate.total.rounded(), total, "{environment}");
        assert_eq!(costed.over_budget().map(|over| over.rounded()).as_deref(), over, "{environment}");
        match over {
            Some(_) => drop(warning(&checked, "over-budget", "budget.monthly")),
            None => assert!(fact(&checked, "budget-alert").contains("80 %")),
        }
        let emitted = emitted(PLURESDB, &set);
        let network = String::from_utf8(emitted.files["azure-eastus/network.tf.json"].clone()).unwrap();
        for rule in ["AllowPluresDBP2P", "AllowPluresDBAPI", "AllowSSH"] {
            assert!(network.contains(rule), "{rule}");
        }
    }
}
