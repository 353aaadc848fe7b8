//! Sandboxes: a container that does nothing but hold the network namespace of an instance.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};
use tokio::time::Instant;
use univrs_model::ids::InstanceId;
use univrs_ports::runtime::{RuntimeError, Sandbox};

use super::engine::{CONFLICT, NOT_FOUND, status};
use super::names::Kind;
use super::{Inner, broken, create, state};
use crate::calls::{blocking, failed};
use crate::{netns, overlay, teardown};

/// The file that keeps an instance's network namespace.
const NETNS: &str = "netns";
/// How long a container may take to go.
const REMOVE_LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked whether one that is being removed has gone.
const LOOK: Duration = Duration::from_millis(50);

impl Inner {
    /// The folder of the file that keeps an instance's network namespace.
    fn folder(&self, instance: &InstanceId) -> PathBuf {
        self.run_dir.join(instance.as_str())
    }

    pub(super) async fn open_sandbox(
        &self,
        instance: &InstanceId,
        hostname: &str,
    ) -> Result<Sandbox, RuntimeError> {
        let pid = match self.sandbox(instance).await? {
            Some((_, Some(pid))) => pid,
            Some((docker, None)) => {
                self.bury(instance, &docker).await?;
                self.make_sandbox(instance, hostname).await?
            }
            None => self.make_sandbox(instance, hostname).await?,
        };
        let (folder, wanted) = (self.folder(instance), instance.clone());
        let file = folder.join(NETNS);
        let kept = file.clone();
        blocking(move || {
            std::fs::create_dir_all(folder)
                .and_then(|()| netns::keep(Path::new(&format!("/proc/{pid}/ns/net")), &kept))
                .map_err(failed(&wanted, "keep its network namespace"))
        })
        .await?;
        Ok(Sandbox { instance: instance.clone(), netns: Some(file) })
    }

    /// The sandbox of an instance: its id in the engine, and its process if it runs.
    pub(super) async fn sandbox(
        &self,
        instance: &InstanceId,
    ) -> Result<Option<(String, Option<i32>)>, RuntimeError> {
        let name = self.names.sandbox(instance);
        let Some(found) = self.look(instance, &name).await? else { return Ok(None) };
        let labels = found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        if self.names.recognise(&name, &labels) != Some(Kind::Sandbox(instance.clone())) {
            let reason = format!("Docker has a container `{name}` that this node did not make; remove it");
            return Err(broken(instance, "open its sandbox", reason));
        }
        Ok(found.id.clone().map(|docker| (docker, state::pid(&found))))
    }

    /// Removes a sandbox that has ended, and ends what was in it: a new one is another namespace.
    async fn bury(&self, instance: &InstanceId, docker: &str) -> Result<(), RuntimeError> {
        tracing::warn!(%instance, "its sandbox has ended; it is made anew");
        for found in self.find(Some(instance)).await? {
            if let Kind::Attempt { id, .. } = &found.kind {
                // One that has ended already is fine.
                self.kill(id, &found.docker).await?;
            }
        }
        self.remove(instance, docker).await
    }

    /// Makes a sandbox. Answers its process.
    async fn make_sandbox(&self, instance: &InstanceId, hostname: &str) -> Result<i32, RuntimeError> {
        let image = self.copies.ensure_pause(&self.engine, &self.names, instance).await?;
        let name = self.names.sandbox(instance);
        let body = create::sandbox(&self.names, instance, hostname, &image);
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let made = self.engine.docker().create_container(Some(options), body).await;
        let docker = made.map_err(self.engine.failed(instance, "make its sandbox"))?.id;
        let started = self.start_sandbox(instance, &docker).await;
        if started.is_err()
            && let Err(error) = self.remove(instance, &docker).await
        {
            tracing::warn!(%instance, %error, "a sandbox that did not start was left behind");
        }
        started
    }

    async fn start_sandbox(&self, instance: &InstanceId, docker: &str) -> Result<i32, RuntimeError> {
        let started = self.engine.docker().start_container(docker, None::<StartContainerOptions>).await;
        started.map_err(self.engine.failed(instance, "start its sandbox"))?;
        let found = self.look(instance, docker).await?;
        let pid = found.as_ref().and_then(state::pid);
        let pid = pid.ok_or_else(|| broken(instance, "start its sandbox", "it ended at once"))?;
        // The process is about to be used as one of this machine: it must be the one that Docker means.
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        if !groups.contains(docker) {
            let reason = "Docker runs on another machine or apart from its processes; use one that runs here";
            return Err(broken(instance, "start its sandbox", reason));
        }
        Ok(pid)
    }

    pub(super) async fn close_sandbox(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        let found = self.find(Some(instance)).await?;
        let (sandboxes, attempts): (Vec<_>, Vec<_>) =
            found.iter().partition(|one| matches!(one.kind, Kind::Sandbox(_)));
        futures::future::try_join_all(attempts.iter().map(|one| self.remove(instance, &one.docker))).await?;
        for sandbox in sandboxes {
            self.remove(instance, &sandbox.docker).await?;
        }
        let (folder, wanted) = (self.folder(instance), instance.clone());
        blocking(move || {
            overlay::unmount(&folder.join(NETNS))
                .and_then(|()| teardown::remove_dir(&folder))
                .map_err(failed(&wanted, "remove its network namespace"))
        })
        .await?;
        if let Err(error) = self.copies.sweep(&self.engine, &self.names).await {
            tracing::warn!(%error, "copies of images that nobody needs stay in Docker for now");
        }
        Ok(())
    }

    /// Removes a container and what it wrote, whether it runs or not; one that is gone is fine.
    pub(super) async fn remove<I: std::fmt::Display>(
        &self,
        id: &I,
        docker: &str,
    ) -> Result<(), RuntimeError> {
        let until = Instant::now() + REMOVE_LIMIT;
        loop {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            match self.engine.docker().remove_container(docker, Some(options)).await {
                Ok(()) => return Ok(()),
                Err(error) if status(&error) == Some(NOT_FOUND) => return Ok(()),
                // Somebody else removes it just now.
                Err(error) if status(&error) == Some(CONFLICT) && Instant::now() < until => {
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) => return Err(self.engine.failed(id, "remove it")(error)),
            }
        }
    }

    /// Removes what no instance accounts for any more: copies of images, and files of namespaces.
    pub(super) async fn sweep(&self) -> Result<(), RuntimeError> {
        self.copies.purge(&self.engine, &self.names).await?;
        let (dir, node) = (self.run_dir.clone(), self.names.node().clone());
        blocking(move || {
            let fail = |error: std::io::Error| failed(&node, "remove its run directory")(error);
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(fail)?;
            let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
            for point in points.map(Path::new).filter(|point| point.starts_with(&dir)) {
                overlay::unmount(point).map_err(fail)?;
            }
            teardown::remove_dir(&dir).map_err(fail)
        })
        .await
    }
}
