//! `healthcheck` and `restart` of a service.

use serde_json::{Map, Value};
use univrs_model::span::Span;
use univrs_model::workload::{ExecProbe, HealthCheck, RestartPolicy, RestartWhen};

use crate::reader::Reader;
use crate::values::{scalar, span};

impl Reader<'_> {
    pub(crate) fn health(&mut self, field: &str, value: Option<&Value>) -> Option<HealthCheck> {
        let check = value?.as_object()?;
        let at = |key: &str| format!("{field}.healthcheck.{key}");
        if check.get("disable").and_then(Value::as_bool) == Some(true) {
            return None;
        }
        for key in check.keys() {
            let known =
                ["test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"];
            if !known.contains(&key.as_str()) {
                self.unknown(&format!("{field}.healthcheck"), key, known.into_iter());
            }
        }
        if check.contains_key("start_interval") {
            self.note(at("start_interval"), "probes come at `interval` from the start");
        }
        let command = match check.get("test")? {
            Value::String(text) => shell(text),
            Value::Array(items) => {
                let mut words = self.texts(&at("test"), items).into_iter();
                match words.next().as_deref() {
                    Some("NONE") | None => return None,
                    Some("CMD") => words.collect(),
                    Some("CMD-SHELL") => shell(&words.collect::<Vec<_>>().join(" ")),
                    Some(other) => {
                        self.refuse(
                            at("test"),
                            format!("a test does not begin with `{other}`"),
                            "begin it with CMD, CMD-SHELL or NONE",
                        );
                        return None;
                    }
                }
            }
            _ => {
                self.fault(at("test"), "a test is a text or a list of texts");
                return None;
            }
        };
        let mut time = |key: &str, default: Span| {
            let text = check.get(key).and_then(scalar);
            text.and_then(|text| self.take(&at(key), span(&text))).unwrap_or(default)
        };
        // Docker's own defaults.
        let interval = time("interval", Span::seconds(30));
        let timeout = time("timeout", Span::seconds(30));
        let start_period = time("start_period", Span::ZERO);
        let retries =
            check.get("retries").and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
        Some(HealthCheck {
            http: None,
            tcp: None,
            exec: Some(ExecProbe { command }),
            interval,
            timeout: timeout.min(interval),
            retries: retries.unwrap_or(3),
            start_period,
        })
    }

    /// `deploy.restart_policy`, else `restart`, else Docker's default, which is not to restart.
    pub(crate) fn restart(&mut self, field: &str, service: &Map<String, Value>) -> RestartPolicy {
        let policy = service.get("deploy").and_then(|deploy| deploy.get("restart_policy"));
        let (key, condition) = match policy {
            Some(policy) => (
                "deploy.restart_policy.condition",
                policy.get("condition").and_then(scalar).unwrap_or_else(|| "any".into()),
            ),
            None => ("restart", service.get("restart").and_then(scalar).unwrap_or_else(|| "no".into())),
        };
        let at = format!("{field}.{key}");
        let (word, count) = condition.split_once(':').unwrap_or((&condition, ""));
        let mut restart = RestartPolicy::default();
        restart.policy = match word {
            "always" | "any" => RestartWhen::Always,
            "unless-stopped" => RestartWhen::Always,
            "on-failure" => RestartWhen::OnFailure,
            "no" | "none" | "false" => RestartWhen::Never,
            other => {
                self.refuse(
                    at,
                    format!("`{other}` is not a restart policy"),
                    "write no, always, on-failure or unless-stopped",
                );
                return restart;
            }
        };
        let most = policy.and_then(|policy| policy.get("max_attempts")).is_some();
        if !count.is_empty() || most {
            self.note(at.clone(), "restarts are not counted; the wait between them doubles instead");
        }
        if let Some(delay) = policy.and_then(|policy| policy.get("delay")).and_then(scalar)
            && let Some(delay) = self.take(&format!("{field}.deploy.restart_policy.delay"), span(&delay))
        {
            restart.initial = delay.max(Span::millis(1));
            restart.max = restart.max.max(delay);
        }
        restart
    }
}

fn shell(text: &str) -> Vec<String> {
    ["/bin/sh", "-c", text].map(str::to_owned).to_vec()
}
