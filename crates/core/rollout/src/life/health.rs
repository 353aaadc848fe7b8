//! Health checks: when to probe, and what the results mean.
//!
//! Until it first passes, a container is probed often, so that it counts soon; it is failing when it has not
//! passed within `start_period` and `retries` intervals. Afterwards it is failing when `retries` probes in a row
//! have failed. A failing container is stopped and, by its policy, started again; it stays failing until it
//! passes, so that nobody takes the restart for a recovery.

use univrs_model::Timestamp;
use univrs_model::instance::Health;
use univrs_model::span::Span;
use univrs_model::workload::ContainerSpec;

use super::{LifeStep, Now};
use crate::work::{is_ahead, later, over};

/// Time between probes until the first passes, if the interval is longer.
const EAGER_INTERVAL: Span = Span::millis(500);

impl Now<'_> {
    /// Takes in the last probe of a running container, asks for the next one, and stops it when it fails.
    pub(crate) fn check(&mut self, container: &ContainerSpec, attempt: u32, since: Timestamp) -> Health {
        let Some(check) = &container.health else { return Health::None };
        let name = &container.name;
        let seen = self.seen.probes.get(name).cloned().unwrap_or_default();
        // A result from before this start speaks of another attempt.
        let now = self.now;
        let last = seen.last.filter(|last| last.at >= since || is_ahead(since, now));
        let remembered = self.remembered(name);
        if let Some(last) = &last
            && remembered.probed_at.is_none_or(|counted| counted < last.at || is_ahead(counted, last.at))
        {
            remembered.probed_at = Some(last.at);
            if last.passed {
                remembered.failures = 0;
                remembered.failing = false;
                remembered.passed = Some(attempt);
            } else if later(since, check.start_period) <= last.at {
                remembered.failures += 1;
            }
        }
        if last.is_none() {
            remembered.failures = 0;
        }
        let passed = remembered.passed == Some(attempt);
        let patience = Span::millis(
            check.start_period.as_millis() + check.interval.as_millis() * u64::from(check.retries),
        );
        let failed_now = last.as_ref().is_some_and(|last| !last.passed);
        let too_long = if passed {
            remembered.failures >= check.retries
        } else {
            failed_now && last.as_ref().is_some_and(|last| later(since, patience) <= last.at)
        };
        if too_long || remembered.unhealthy == Some(attempt) {
            remembered.unhealthy = Some(attempt);
            remembered.failing = true;
            self.steps.push(LifeStep::StopContainer { name: name.clone(), grace: container.stop_grace });
            return Health::Failing;
        }
        let health = match (remembered.failing, passed) {
            (true, _) => Health::Failing,
            (false, true) => Health::Passing,
            (false, false) => Health::Starting,
        };
        let interval = if passed { check.interval } else { check.interval.min(EAGER_INTERVAL) };
        if !seen.in_flight {
            match last.map(|last| over(last.at, interval, now)).filter(|due| *due > now) {
                Some(due) => self.wake(due),
                None => self.steps.push(LifeStep::Probe { name: name.clone() }),
            }
        }
        health
    }
}
