//! What the engine says of a container, in our words. Pure.

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use jiff::Timestamp;
use univrs_ports::runtime::{ContainerPhase, ContainerState, Exit};

use super::names::Kind;

/// The exit code of a program that `SIGKILL` ended.
const KILLED: i32 = 128 + 9;

/// A container that was started; `None` for one that never was, is no attempt of ours or cannot be understood.
pub(super) fn container(kind: Kind, found: &ContainerInspectResponse) -> Option<ContainerState> {
    let Kind::Attempt { id, attempt, image } = kind else { return None };
    let state = found.state.as_ref()?;
    let started_at = time(state.started_at.as_deref())?;
    let phase = match state.status? {
        ContainerStateStatusEnum::RUNNING
        | ContainerStateStatusEnum::PAUSED
        | ContainerStateStatusEnum::RESTARTING
        | ContainerStateStatusEnum::STOPPING => ContainerPhase::Running,
        ContainerStateStatusEnum::EXITED
        | ContainerStateStatusEnum::DEAD
        | ContainerStateStatusEnum::REMOVING => {
            let code = state.exit_code.and_then(|code| i32::try_from(code).ok());
            ContainerPhase::Exited(Exit {
                code,
                // Docker says so too when the kernel killed only a child, and the program itself went on.
                out_of_memory: state.oom_killed == Some(true) && code == Some(KILLED),
                at: time(state.finished_at.as_deref()).unwrap_or(started_at),
            })
        }
        ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EMPTY => return None,
    };
    let pid = pid(found).filter(|_| phase == ContainerPhase::Running);
    Some(ContainerState { id, attempt, pid, started_at, phase, image_digest: image })
}

/// The process on the host, if it runs.
pub(super) fn pid(found: &ContainerInspectResponse) -> Option<i32> {
    let state = found.state.as_ref().filter(|state| state.running == Some(true))?;
    state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0)
}

/// A time as Docker writes it; `None` for its zero, which stands for never.
fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse::<Timestamp>().ok().filter(|time| *time > Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
    use univrs_model::ids::InstanceId;
    use univrs_ports::runtime::{ContainerId, ContainerPhase};

    use super::super::names::Kind;
    use super::{ContainerStateStatusEnum as Status, container};

    fn kind() -> Kind {
        let id = ContainerId { instance: InstanceId::from_bits(1), container: "app".parse().unwrap() };
        Kind::Attempt { id, attempt: 2, image: "sha256:ab".to_owned() }
    }

    fn found(status: ContainerStateStatusEnum, code: i64, oom_killed: bool) -> ContainerInspectResponse {
        let state = ContainerState {
            status: Some(status),
            running: Some(status == Status::RUNNING),
            pid: Some(if status == Status::RUNNING { 77 } else { 0 }),
            exit_code: Some(code),
            oom_killed: Some(oom_killed),
            started_at: Some("2026-01-02T03:04:05.678901234Z".to_owned()),
            finished_at: Some(
                if status == Status::RUNNING { "0001-01-01T00:00:00Z" } else { "2026-01-02T03:05:00Z" }
                    .to_owned(),
            ),
            ..ContainerState::default()
        };
        ContainerInspectResponse { state: Some(state), ..ContainerInspectResponse::default() }
    }

    #[test]
    fn a_running_container_has_a_process_and_a_start() {
        let state = container(kind(), &found(Status::RUNNING, 0, false)).unwrap();
        assert_eq!((state.pid, state.attempt, state.phase), (Some(77), 2, ContainerPhase::Running));
        assert_eq!(state.started_at.to_string(), "2026-01-02T03:04:05.678901234Z");
    }

    #[test]
    fn only_a_kill_for_memory_is_one() {
        for (code, flag, expected) in [(137, true, true), (137, false, false), (0, true, false)] {
            let state = container(kind(), &found(Status::EXITED, code, flag)).unwrap();
            let ContainerPhase::Exited(exit) = state.phase else { panic!("it has ended") };
            assert_eq!((exit.out_of_memory, exit.code, state.pid), (expected, Some(code as i32), None));
        }
    }

    #[test]
    fn what_never_ran_is_no_container() {
        assert_eq!(container(kind(), &found(Status::CREATED, 0, false)), None);
        let sandbox = Kind::Sandbox(InstanceId::from_bits(1));
        assert_eq!(container(sandbox, &found(Status::RUNNING, 0, false)), None);
    }
}
