//! Rows the build refuses, each with the file, the line and the reason.

use univrs_cost::table::{Fault, Reason, Sources, compile};

const PRICES: &str = "provider,region,instance_type,arch,vcpu,memory_gib,ondemand_usd_hour,spot_usd_hour
aws,us-east-1,m5.large,x86_64,2,8,0.096,0.04
aws,us-east-1,m5.xlarge,x86_64,4,16,0.192,0.08
";
const DATES: &str = "provider,region,prefix,term,date,source
aws,*,,on-demand,2026-07-20,a list
aws,*,,spot,2025-06,another list
";
const IRREGULAR: &str = "provider,family,verdict,reason\n";
const SERVICES: &str = "provider,region,service,sku,unit,usd,source,date
aws,us-east-1,nat_gateway,nat-hour,hours,0.045,a list,2024-07-01
aws,*,free_tier,always free: 100 GB,allowance,0,a page,2026-08-22
";
const ALLOWANCES: &str = "provider,plan,meter,scope,regions,quantity,unit,from,until,note,fact
aws,*,egress,*,*,100,GB,,,,always free: 100 GB
";
const REGIONS: &str =
    "provider,region,city,country,lat,lon,zones\naws,us-east-1,\"Ashburn, VA\",US,39.0,-77.4,6\n";
const ROUND_TRIPS: &str = "from,to,p50_ms,source\naws:us-east-1,aws:us-east-1,1.2,measured\n";

fn sound() -> Sources<'static> {
    Sources {
        prices: PRICES,
        dates: DATES,
        irregular: IRREGULAR,
        services: SERVICES,
        allowances: ALLOWANCES,
        regions: REGIONS,
        round_trips: ROUND_TRIPS,
    }
}

/// The faults of the sound files with one more row in one of them.
fn with(file: &'static str, row: &str) -> Vec<Fault> {
    let sound = sound();
    let text = match file {
        "prices.csv" => PRICES,
        "dates.csv" => DATES,
        "irregular.csv" => IRREGULAR,
        "services.csv" => SERVICES,
        "allowances.csv" => ALLOWANCES,
        "regions.csv" => REGIONS,
        _ => ROUND_TRIPS,
    };
    let text = format!("{text}{row}\n");
    let sources = match file {
        "prices.csv" => Sources { prices: &text, ..sound },
        "dates.csv" => Sources { dates: &text, ..sound },
        "irregular.csv" => Sources { irregular: &text, ..sound },
        "services.csv" => Sources { services: &text, ..sound },
        "allowances.csv" => Sources { allowances: &text, ..sound },
        "regions.csv" => Sources { regions: &text, ..sound },
        _ => Sources { round_trips: &text, ..sound },
    };
    compile(&sources).err().unwrap_or_default()
}

#[test]
fn sound_rows_are_taken() {
    let tables = compile(&sound()).unwrap();
    assert_eq!(tables.markets[0].machines.len(), 2);
    assert_eq!(tables.services.len(), 1, "allowances in words are not prices");
    assert_eq!(tables.regions[0].city, "Ashburn, VA");
}

#[test]
fn each_broken_row_is_named() {
    let cases = [
        ("prices.csv", "aws,us-east-1,m5.large,x86_64,2,8,0.1,0.04", 4, "priced twice, first on line 2"),
        ("prices.csv", "aws,us-east-1,m6.large,x86_64,2,8,0,", 4, "the price zero"),
        ("prices.csv", "aws,us-east-1,m6.large,x86_64,2,8,NaN,", 4, "`ondemand_usd_hour` is `NaN`"),
        ("prices.csv", "aws,us-east-1,m6.large,x86_64,2,8,-1,", 4, "below zero"),
        ("prices.csv", "aws,us-east-1,m6.large,x86_64,2,8,0.1,0.1", 4, "as much on the spot market"),
        ("prices.csv", "aws,us-east-1,m6.large,x86_64,0,8,0.1,", 4, "`vcpu` is `0`"),
        ("prices.csv", "aws,us-east-1,m6.large,riscv,2,8,0.1,", 4, "`arch` is `riscv`"),
        ("prices.csv", "aws,us-east-1,m6.large,x86_64,2,8,0.1", 4, "7 fields, expected 8"),
        ("prices.csv", "aws,nowhere-1,m6.large,x86_64,2,8,0.1,", 4, "aws:nowhere-1 is not in regions.csv"),
        ("prices.csv", "acme,us-east-1,m6.large,x86_64,2,8,0.1,", 4, "`provider` is `acme`"),
        ("prices.csv", "aws,us-east-1,m5.2xlarge,x86_64,8,32,0.70,", 4, "aws:us-east-1 m5.xlarge"),
        ("prices.csv", "aws,us-east-1,m5.2xlarge,x86_64,8,32,0.20,", 4, "m5.2xlarge costs 1.041 times"),
        ("dates.csv", "aws,*,x,monthly,2026,a list", 4, "`term` is `monthly`"),
        ("dates.csv", "aws,*,x,spot,2026-31-01,a list", 4, "`date` is `2026-31-01`"),
        ("dates.csv", "aws,*,x,spot,2026-01-01,", 4, "has no source"),
        ("irregular.csv", "aws,m5,listed,", 2, "an exception has a reason"),
        ("irregular.csv", "aws,m5,perhaps,so", 2, "`verdict` is `perhaps`"),
        (
            "services.csv",
            "aws,us-east-1,nat_gateway,nat-hour,hours,0.05,a list,2024-07-01",
            4,
            "priced twice",
        ),
        ("services.csv", "aws,us-east-1,nat_gateway,nat-gb,GB,0,a list,2024-07-01", 4, "the price zero"),
        ("services.csv", "aws,us-east-1,nat_gateway,nat-gb,GB,1,a list,", 4, "has no date"),
        ("services.csv", "aws,us-east-1,nat_gateway,nat-gb,GB,1,,2024-07-01", 4, "has no source"),
        ("services.csv", "aws,*,reserved_discount,x,fraction,1.5,a list,2024", 4, "a fraction is below one"),
        ("services.csv", "aws,*,dns,\"x,GB,1,a list,2024", 4, "a quoted field must end"),
        ("allowances.csv", "aws,*,egress,*,*,5,GB,,,,nobody said", 3, "begins with `nobody said`"),
        ("allowances.csv", "aws,*,egress,*,*,5,hours,,,,always free", 3, "this meter counts GB"),
        ("regions.csv", "aws,us-east-1,Ashburn,US,39,-77,6", 3, "priced twice"),
        ("regions.csv", "aws,moon-1,Tranquility,XX,139,-77,6", 3, "not on the globe"),
        ("rtt.csv", "aws:us-east-1,aws:moon-1,1300,measured", 3, "aws:moon-1 is not in regions.csv"),
        ("rtt.csv", "aws:us-east-1,aws:us-east-1,0,measured", 3, "not a time above zero"),
    ];
    for (file, row, line, expected) in cases {
        let faults = with(file, row);
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let found = faults
            .iter()
            .zip(&shown)
            .any(|(fault, shown)| fault.file == file && fault.line == line && shown.contains(expected));
        assert!(found, "{file}: {row}\nexpected line {line}: {expected}\nfound {shown:#?}");
        let start = format!("{file}:{line}: ");
        assert!(shown.iter().any(|shown| shown.starts_with(&start)), "{shown:#?}");
    }
}

#[test]
fn a_price_without_a_date_is_refused() {
    let dates = "provider,region,prefix,term,date,source\naws,*,,on-demand,2026-07-20,a list\n";
    let faults = compile(&Sources { dates, ..sound() }).unwrap_err();
    assert_eq!(faults.len(), 2, "both spot prices: {faults:?}");
    assert!(faults.iter().all(|fault| matches!(fault.reason, Reason::Undated { missing: "date", .. })));
}

#[test]
fn changed_columns_are_refused() {
    let prices = "provider,region,instance_type,price\naws,us-east-1,m5.large,0.096\n";
    let faults = compile(&Sources { prices, ..sound() }).unwrap_err();
    assert!(matches!(faults[0].reason, Reason::Columns { .. }), "{faults:?}");
}

#[test]
fn two_sources_that_agree_keep_the_newer_date() {
    let services = format!("{SERVICES}aws,us-east-1,nat_gateway,nat-hour,hours,0.045,b,2026-01-01\n");
    let tables = compile(&Sources { services: &services, ..sound() }).unwrap();
    let origin = tables.origins[usize::from(tables.services[0].quote.origin)];
    assert_eq!(origin.date.to_string(), "2026-01-01");
}

#[test]
fn an_exception_needs_to_be_named_and_then_holds() {
    let row = "aws,us-east-1,m5.2xlarge,x86_64,8,32,0.70,";
    let prices = format!("{PRICES}{row}\n");
    let irregular = format!("{IRREGULAR}aws,m5,listed,the list says so\n");
    assert!(compile(&Sources { prices: &prices, irregular: &irregular, ..sound() }).is_ok());
}

#[test]
fn rows_of_another_system_lose_their_price_but_not_their_type() {
    // The second row has a Windows price: its spot price is a smaller part of it than in the first.
    let prices = "provider,region,instance_type,arch,vcpu,memory_gib,ondemand_usd_hour,spot_usd_hour
aws,us-east-1,m5.large,x86_64,2,8,0.096,0.04
aws,us-east-1,m5.xlarge,x86_64,4,16,0.376,0.08
";
    let irregular = format!("{IRREGULAR}aws,m5,mixed-os,Windows\n");
    let tables = compile(&Sources { prices, irregular: &irregular, ..sound() }).unwrap();
    let prices: Vec<bool> = tables.markets[0].machines.iter().map(|m| m.on_demand.is_some()).collect();
    assert_eq!(prices, [true, false]);
    assert!(tables.markets[0].machines[1].spot.is_some());
}
