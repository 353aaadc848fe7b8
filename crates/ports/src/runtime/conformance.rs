//! What every runtime must do, as executable text. Adapters run [`checks`] from their tests.
//!
//! The suite does not know what a runtime's containers are made of. It asks a [`Subject`] for containers that
//! behave in a certain way ([`Behaviour`]); images with a shell can use [`shell_command`]. What a runtime cannot do
//! its subject says openly ([`Subject::lacks`]), so that a report can name what was left out.
//!
//! Every check works with instances of its own and removes them, so one runtime can serve all checks, in any order
//! but one after the other: one of them purges.

mod commands;
mod life;
mod output;
mod restarts;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use univrs_model::ids::InstanceId;
use univrs_model::name::Name;
use univrs_model::span::Span;

use super::{
    ContainerId, ContainerPhase, ContainerSpec, ContainerState, Exit, LogQuery, Runtime, RuntimeError,
};

/// How long anything that has to happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The name of the machine in every sandbox.
pub const HOSTNAME: &str = "box";
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// What a container in a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Runs; ends with this code when it gets `SIGTERM`, from the moment on at which it has written `ready`.
    EndsOnTerm(i32),
    /// Runs and cannot be asked to end, only killed.
    Stubborn,
    /// Ends with this code after this time.
    EndsAfter(Duration, i32),
    /// Writes the lines (`true` stands for standard error), then ends with code 0.
    Says(Vec<(bool, String)>),
    /// Writes `tick 0`, `tick 1`, … to standard output, about twenty in a second, until it gets `SIGTERM`.
    Ticks,
    /// Names a program that does not exist.
    Missing,
}

/// What a command in a running container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ends with this code.
    Exits(i32),
    /// Copies standard input to standard output until its end.
    Copies,
    /// Writes `to out` to standard output and `to err` to standard error.
    Says,
    /// Writes the terminal's size as `rows columns` whenever it reads a line.
    Measures,
    /// Runs until it is killed.
    Stays,
    /// Does not exist.
    Missing,
}

/// What a runtime may be unable to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Commands with a terminal.
    Terminal,
    /// Telling how many processes a container has.
    CountsProcesses,
}

/// A runtime to be checked.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The runtime as it is now.
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// Gives up the runtime and opens a new one on what it left, as when the daemon restarts.
    async fn restart(&self) -> Arc<dyn Runtime>;

    /// A container that behaves like that; the rest as the subject likes.
    fn spec(&self, id: ContainerId, attempt: u32, behaviour: &Behaviour) -> ContainerSpec;

    /// The command line that behaves like that in a container of this subject.
    fn command(&self, command: Command) -> Vec<String> {
        shell_exec(command)
    }

    /// What the runtime cannot do.
    fn lacks(&self) -> &[Ability] {
        &[]
    }
}

/// One check.
pub struct Check {
    /// What must hold.
    pub name: &'static str,
    /// Without which ability it makes no sense.
    pub needs: Option<Ability>,
    run: for<'a> fn(&'a dyn Subject) -> BoxFuture<'a, ()>,
}

impl Check {
    /// Runs it. Panics when the runtime deviates or takes too long.
    pub async fn run(&self, subject: &dyn Subject) {
        let done = tokio::time::timeout(4 * PATIENCE, (self.run)(subject)).await;
        assert!(done.is_ok(), "`{}` took longer than {:?}", self.name, 4 * PATIENCE);
    }
}

macro_rules! list {
    ($($module:ident :: $name:ident $(needs $ability:ident)?),* $(,)?) => {
        vec![$(Check {
            name: stringify!($name),
            needs: list!(@need $($ability)?),
            run: |subject| Box::pin($module::$name(subject)),
        }),*]
    };
    (@need) => { None };
    (@need $ability:ident) => { Some(Ability::$ability) };
}

/// All checks.
pub fn checks() -> Vec<Check> {
    list![
        life::a_container_runs_and_its_exit_code_is_kept,
        life::starting_again_changes_nothing,
        life::without_a_sandbox_nothing_starts,
        life::a_missing_command_is_refused_at_once,
        life::stopping_asks_first,
        life::stopping_kills_after_the_grace,
        life::signals_arrive,
        life::a_later_attempt_replaces_an_ended_one,
        life::containers_of_an_instance_are_separate,
        life::endings_are_hinted_at,
        life::usage_is_told_while_it_runs,
        life::closing_leaves_nothing,
        life::purging_leaves_nothing,
        restarts::running_containers_survive_a_restart,
        restarts::exits_are_known_after_a_restart,
        restarts::endings_after_a_restart_are_hinted_at,
        output::logs_are_kept_in_order,
        output::logs_can_be_cut,
        output::logs_can_be_followed,
        output::logs_span_attempts,
        commands::commands_have_exit_codes,
        commands::commands_read_and_write,
        commands::missing_commands_are_refused,
        commands::commands_need_a_running_container,
        commands::commands_can_have_a_terminal needs Terminal,
        commands::a_dropped_command_is_killed needs CountsProcesses,
    ]
}

/// The command line with which a POSIX shell behaves like that.
pub fn shell_command(behaviour: &Behaviour) -> Vec<String> {
    let script = match behaviour {
        Behaviour::EndsOnTerm(code) => {
            format!("trap 'exit {code}' TERM; echo ready; while :; do sleep 0.02; done")
        }
        Behaviour::Stubborn => "trap '' TERM INT HUP; while :; do sleep 0.1; done".to_owned(),
        Behaviour::EndsAfter(time, code) => format!("sleep {}; exit {code}", time.as_secs_f64()),
        Behaviour::Says(lines) => lines
            .iter()
            .map(|(to_error, line)| format!("echo '{line}'{}", if *to_error { " >&2" } else { "" }))
            .collect::<Vec<_>>()
            // A moment between the lines: the two outputs are separate pipes.
            .join("; sleep 0.03; "),
        Behaviour::Ticks => {
            "trap 'exit 0' TERM; n=0; while :; do echo \"tick $n\"; n=$((n+1)); sleep 0.05; done".to_owned()
        }
        Behaviour::Missing => return vec!["/no/such/program".to_owned()],
    };
    vec!["/bin/sh".to_owned(), "-c".to_owned(), script]
}

/// The command line with which a POSIX shell behaves like that.
pub fn shell_exec(command: Command) -> Vec<String> {
    let script = match command {
        Command::Exits(code) => format!("exit {code}"),
        Command::Copies => "exec cat".to_owned(),
        Command::Says => "echo to out; echo to err >&2".to_owned(),
        Command::Measures => "while read line; do stty size; done".to_owned(),
        Command::Stays => "while :; do sleep 1; done".to_owned(),
        Command::Missing => return vec!["/no/such/program".to_owned()],
    };
    vec!["/bin/sh".to_owned(), "-c".to_owned(), script]
}

/// An instance that no other check uses.
fn fresh() -> InstanceId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Spread over the letters, so that ids differ at their start.
    InstanceId::from_bits(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) * 0x9E37_79B9_7F4A_7C15_F39C)
}

fn container(instance: &InstanceId, name: &str) -> ContainerId {
    ContainerId { instance: instance.clone(), container: name.parse::<Name>().expect("a name") }
}

/// An open sandbox with nothing in it.
async fn sandbox(runtime: &dyn Runtime) -> InstanceId {
    let instance = fresh();
    let opened = runtime.open_sandbox(&instance, HOSTNAME).await.expect("a sandbox opens");
    assert_eq!(opened.instance, instance);
    instance
}

/// A sandbox with one container in it.
async fn started(subject: &dyn Subject, behaviour: &Behaviour) -> (ContainerId, ContainerState) {
    let runtime = subject.runtime();
    let instance = sandbox(&*runtime).await;
    let id = container(&instance, "app");
    let state = runtime.start(&subject.spec(id.clone(), 0, behaviour)).await.expect("it starts");
    assert_eq!((&state.id, state.attempt), (&id, 0));
    (id, state)
}

async fn close(runtime: &dyn Runtime, instance: &InstanceId) {
    runtime.close_sandbox(instance).await.expect("the sandbox closes");
}

/// Waits until a container that ends on `SIGTERM` would: before, the signal is lost.
async fn heeds(runtime: &dyn Runtime, id: &ContainerId) {
    heeds_as(runtime, id, 1).await;
}

/// The same for an attempt of that number, from 1: what earlier ones wrote stays.
async fn heeds_as(runtime: &dyn Runtime, id: &ContainerId, attempt: usize) {
    until("the container is ready", || async {
        let lines: Vec<_> = runtime.logs(id, LogQuery::default()).await.ok()?.collect().await;
        let ready = lines.iter().flatten().filter(|line| line.text == "ready").count();
        (ready >= attempt).then_some(())
    })
    .await;
}

/// Waits for a container's end.
async fn ended(runtime: &dyn Runtime, id: &ContainerId) -> Exit {
    until("the container ends", || async {
        match runtime.inspect(id).await.expect("an answer").expect("the container").phase {
            ContainerPhase::Exited(exit) => Some(exit),
            ContainerPhase::Running => None,
        }
    })
    .await
}

/// Looks again and again until there is an answer. Panics when it takes too long.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(LOOK).await;
    }
}

fn exit_of(state: &ContainerState) -> Option<Exit> {
    match state.phase {
        ContainerPhase::Exited(exit) => Some(exit),
        ContainerPhase::Running => None,
    }
}

fn is_not_found<T>(result: &Result<T, RuntimeError>) -> bool {
    matches!(result, Err(RuntimeError::NotFound { .. }))
}

const GENEROUS: Span = Span::seconds(120);
