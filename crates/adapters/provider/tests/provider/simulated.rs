//! The simulated provider passes the suite of its port, and does what its script says.

use std::time::Duration;

use univrs_ports::provider::conformance::{Program, Subject, check, order};
use univrs_ports::provider::{Provider as _, Standing};
use univrs_provider::simulated::{Outcome, Script, SimulatedProvider};

fn subject() -> Subject {
    let program = |command: &str| Program { image: "web:1".to_owned(), command: vec![command.to_owned()] };
    let (serve, job, failing_job) = (program("serve"), program("work"), program("fail"));
    Subject { serve, job, failing_job, says: Some("done".to_owned()), reader: None }
}

fn script() -> Script {
    Script { until_serving: Duration::from_millis(50), failing_job: "fail".to_owned(), ..Script::default() }
}

#[tokio::test]
async fn the_simulated_provider_conforms() {
    check(&SimulatedProvider::new(script()), &subject()).await;
}

#[tokio::test]
async fn its_script_fails_before_and_after_acting() {
    let outcomes = [Outcome::FailsBefore, Outcome::FailsAfter, Outcome::Refuses].into();
    let provider = SimulatedProvider::new(Script { outcomes, ..script() });
    let order = order(&subject(), 1, "db");
    assert!(provider.deploy(&order).await.is_err());
    assert_eq!(provider.status(&order.resource).await.unwrap(), Standing::Absent);
    assert!(provider.deploy(&order).await.is_err());
    assert_ne!(provider.status(&order.resource).await.unwrap(), Standing::Absent);
    assert!(provider.deploy(&order).await.unwrap_err().to_string().contains("refuses"));
    provider.deploy(&order).await.unwrap();
    assert_eq!(provider.made(), 1);
}
