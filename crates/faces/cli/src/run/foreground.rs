//! `run --rm`: the container's output and exit code are this program's own, and nothing remains.

use std::time::Duration;

use tokio::time::Instant;
use univrs_client::{Client, Error, LogOptions, Page};
use univrs_model::instance::{InstanceView, Phase};
use univrs_model::rollout::{WorkloadStatus, WorkloadView};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::io::Io;
use crate::table::{span, word};
use crate::wait::is_passing;
use crate::workload::rm::gone;

/// Time between two looks at the instance.
const LOOK: Duration = Duration::from_millis(200);
/// How long the log may go on after the container has ended.
const LAST_LINES: Duration = Duration::from_secs(3);

/// Attends a job until it has ended, then removes it.
pub(crate) async fn attend(context: &mut Context<'_>, job: &WorkloadView) -> Result<Exit, Fault> {
    let name = job.name.as_str();
    let client = context.client.clone();
    let patience = context.patience;
    let outcome = tokio::select! {
        outcome = attend_job(context.io, &client, name, patience) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    };
    let removed = remove(context, job).await;
    let exit = outcome?;
    removed?;
    Ok(exit)
}

async fn remove(context: &mut Context<'_>, job: &WorkloadView) -> Result<(), Fault> {
    let name = job.name.as_str();
    match context.client.delete_workload(name).await {
        Ok(_) => {}
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let mut silent = Io::piped(std::io::sink(), std::io::sink(), std::io::empty(), context.io.now);
    let mut quiet = Context {
        client: context.client.clone(),
        server: context.server.clone(),
        io: &mut silent,
        ..*context
    };
    if gone(&mut quiet, name, job.id.as_str()).await? != Exit::Ok {
        context.talk(&format!("{name} is still being removed"))?;
    }
    Ok(())
}

async fn attend_job(io: &mut Io, client: &Client, name: &str, patience: Duration) -> Result<Exit, Fault> {
    let Some(instance) = started(io, client, name, patience).await? else {
        io.talk(&format!("error: {name} has not started within {}", span(patience)))?;
        return Ok(Exit::TimedOut);
    };
    let options =
        LogOptions { follow: true, instance: Some(instance.id.to_string()), ..LogOptions::default() };
    let ended = {
        let show = show_log(io, client, name, &options);
        let end = end_of(client, name, &instance);
        tokio::pin!(show, end);
        tokio::select! {
            ended = &mut end => {
                let ended = ended?;
                // The log ends with the container; one that does not is left.
                if let Ok(shown) = tokio::time::timeout(LAST_LINES, &mut show).await {
                    shown?;
                }
                ended
            }
            shown = &mut show => {
                shown?;
                end.await?
            }
        }
    };
    match (ended.phase, ended.exit_code) {
        (Phase::Stopped, None) => Ok(Exit::Ok),
        (Phase::Stopped | Phase::Failed, Some(code)) => Ok(Exit::process(code)),
        (phase, _) => {
            let why = if ended.message.is_empty() { word(&phase) } else { ended.message };
            io.talk(&format!("error: {name} did not run to its end: {why}"))?;
            Ok(Exit::Failed)
        }
    }
}

/// The job's instance once its container has started or will not start any more.
async fn started(
    io: &mut Io,
    client: &Client,
    name: &str,
    patience: Duration,
) -> Result<Option<InstanceView>, Fault> {
    let deadline = Instant::now() + patience;
    let mut said = String::new();
    while Instant::now() < deadline {
        match look(client, name).await {
            Ok(Some(instance)) if instance.phase >= Phase::Running => return Ok(Some(instance)),
            Ok(Some(instance)) => {
                let mut words = word(&instance.phase);
                if !instance.message.is_empty() {
                    words = format!("{words}: {}", instance.message);
                }
                if words != said {
                    io.talk(&format!("{name}: {words}"))?;
                    said = words;
                }
            }
            Ok(None) => {
                let view = client.workload(name).await?.value()?;
                if view.status == WorkloadStatus::Failed {
                    return Err(Fault::failed(format!("{name} failed: {}", view.message), None));
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(None)
}

/// The newest instance of the job.
async fn look(client: &Client, name: &str) -> Result<Option<InstanceView>, Error> {
    Ok(client
        .instances(name, &Page::default())
        .await?
        .value()?
        .items
        .into_iter()
        .max_by_key(|instance| instance.created_at))
}

/// The instance once it has ended.
async fn end_of(client: &Client, name: &str, instance: &InstanceView) -> Result<InstanceView, Fault> {
    loop {
        match client.instances(name, &Page::default()).await.and_then(|reply| reply.value()) {
            Ok(list) => match list.items.into_iter().find(|other| other.id == instance.id) {
                Some(now) if now.phase.is_terminal() => return Ok(now),
                Some(_) => {}
                None => return Err(Fault::failed(format!("{name} was removed before it had ended"), None)),
            },
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Passes the log on, each stream to its own.
async fn show_log(io: &mut Io, client: &Client, name: &str, options: &LogOptions) -> Result<(), Fault> {
    let mut log = client.logs(name, options).await?;
    while let Some(line) = log.next().await? {
        match line.stream.as_str() {
            "stderr" => io.talk(&line.text)?,
            _ => io.data(&line.text)?,
        }
    }
    Ok(())
}
