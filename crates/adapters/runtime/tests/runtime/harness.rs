//! As much of the usual test harness as is needed: names, filters, one result each.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;

/// No test may take longer.
const LIMIT: Duration = Duration::from_secs(900);

/// What became of a test that did not fail.
pub(crate) enum Outcome {
    /// It holds.
    Passed,
    /// It was not tried; why.
    LeftOut(String),
}

/// One test.
pub(crate) struct Test {
    /// Its name.
    pub(crate) name: String,
    /// What it does.
    pub(crate) run: Box<dyn FnOnce() -> BoxFuture<'static, Outcome>>,
}

impl Test {
    /// A test of this name.
    pub(crate) fn new<F>(name: impl Into<String>, run: impl FnOnce() -> F + 'static) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self { name: name.into(), run: Box::new(move || run().boxed()) }
    }
}

/// Runs the tests that the command line asks for, one after the other.
pub(crate) fn run(tests: Vec<Test>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let mut skipped = Vec::new();
    let mut wanted = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--skip" => skipped.extend(rest.next()),
            "--test-threads" | "--format" | "--color" | "-Z" => drop(rest.next()),
            flag if flag.starts_with('-') => {}
            _ => wanted.push(argument),
        }
    }
    let matches = |name: &str, text: &str| if given("--exact") { name == text } else { name.contains(text) };
    let chosen: Vec<Test> = tests
        .into_iter()
        .filter(|test| wanted.is_empty() || wanted.iter().any(|text| matches(&test.name, text)))
        .filter(|test| !skipped.iter().any(|text| matches(&test.name, text)))
        .collect();
    if given("--list") {
        for test in chosen.iter().filter(|_| !given("--ignored")) {
            say(&format!("{}: test", test.name));
        }
        return ExitCode::SUCCESS;
    }
    if given("--ignored") {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (mut passed, mut failed, mut left_out) = (0, Vec::new(), 0);
    for test in chosen {
        let began = Instant::now();
        let task = runtime.spawn((test.run)());
        let verdict = match runtime.block_on(async { tokio::time::timeout(LIMIT, task).await }) {
            Ok(Ok(Outcome::Passed)) => {
                passed += 1;
                "ok".to_owned()
            }
            Ok(Ok(Outcome::LeftOut(reason))) => {
                left_out += 1;
                format!("LEFT OUT: {reason}")
            }
            Ok(Err(_)) => {
                failed.push(test.name.clone());
                "FAILED".to_owned()
            }
            Err(_) => {
                failed.push(test.name.clone());
                format!("FAILED: took longer than {LIMIT:?}")
            }
        };
        say(&format!("test {} ... {verdict} ({:.2} s)", test.name, began.elapsed().as_secs_f64()));
    }
    runtime.shutdown_timeout(Duration::from_secs(5));
    say(&format!("\n{passed} passed; {} failed; {left_out} left out", failed.len()));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes a line to standard output.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output");
}
